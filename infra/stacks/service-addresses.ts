/** Turns a stage's addresses into what functions take: environment variables, and a place in the VPC where there is one. */
import { SecretValue } from 'aws-cdk-lib';
import { StringParameter } from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import type { VpcPlacement } from '../constructs/node-function.ts';
import type { Addresses, Jwt, PlainAddresses, VpcAddresses } from '../stage-config.ts';

type ServiceAddresses = {
  readonly REDIS_URL: string;
  readonly DATABASE_URL: string;
  readonly PUSHGATEWAY_URL: string;
};

export type ServicePlace = { readonly environment: ServiceAddresses; readonly placement?: VpcPlacement };

export function locateService(scope: Construct, addresses: Addresses): ServicePlace {
  return addresses.kind === 'plain' ? usePlain(addresses) : useVpc(scope, addresses);
}

/** What the authorizer must know of who issues the tokens. */
export function identifyIssuer(scope: Construct, jwt: Jwt): Record<string, string> {
  if ('issuer' in jwt) {
    return { JWT_ISSUER: jwt.issuer, JWT_AUDIENCE: jwt.audience, JWT_JWKS_URI: jwt.jwksUri };
  }
  return {
    JWT_ISSUER: readParameter(scope, jwt.issuerParameter),
    JWT_AUDIENCE: readParameter(scope, jwt.audienceParameter),
    JWT_JWKS_URI: readParameter(scope, jwt.jwksUriParameter),
  };
}

function usePlain({ redisUrl, databaseUrl, pushgatewayUrl }: PlainAddresses): ServicePlace {
  return { environment: { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl, PUSHGATEWAY_URL: pushgatewayUrl } };
}

function useVpc(scope: Construct, addresses: VpcAddresses): ServicePlace {
  return {
    environment: {
      REDIS_URL: readSecret(addresses.redisSecretName, 'redisUrl'),
      DATABASE_URL: readSecret(addresses.databaseSecretName, 'databaseUrl'),
      PUSHGATEWAY_URL: readParameter(scope, addresses.pushgatewayUrlParameter),
    },
    placement: importPlacement(scope, addresses),
  };
}

function importPlacement(scope: Construct, addresses: VpcAddresses): VpcPlacement {
  return {
    subnetIds: addresses.privateSubnetIdParameters.map((name) => readParameter(scope, name)),
    securityGroupId: readParameter(scope, addresses.clientSecurityGroupIdParameter),
  };
}

/** Read by CloudFormation at deploy: the template holds a reference only. */
function readSecret(name: string, jsonField: string): string {
  return SecretValue.secretsManager(name, { jsonField }).unsafeUnwrap();
}

function readParameter(scope: Construct, name: string): string {
  return StringParameter.valueForStringParameter(scope, name);
}
