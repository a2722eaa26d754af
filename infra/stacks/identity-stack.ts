/** Who issues the tokens of a stage that has no issuer yet: a user pool of its own, with a client for each program. */
import { Aws, CfnOutput, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Issuer } from '../constructs/connections.ts';
import { MachineUserPool, SCOPE_PREFIX } from '../constructs/user-pool.ts';

export type IdentityStackProps = {
  readonly stage: string;
  /** Those of the stage's settings; `default` stands for all others and gets no secret. */
  readonly clients: readonly string[];
  readonly keepData: boolean;
};

/**
 * Secrets are no outputs. Who may read one says
 * `aws cognito-idp describe-user-pool-client --user-pool-id … --client-id … --query UserPoolClient.ClientSecret`.
 */
export class IdentityStack extends Stack {
  readonly issuer: Issuer;

  constructor(scope: Construct, id: string, { stage, clients, keepData }: IdentityStackProps) {
    super(scope, id, {
      description: `Prewarm (${stage}): issuer of the tokens`,
      terminationProtection: keepData,
    });
    const userPool = new MachineUserPool(this, 'UserPool', {
      stage,
      clients: clients.filter((client) => client !== 'default'),
      // The name must be free in the whole region, among all accounts.
      domainPrefix: `prewarm-${stage}-${Aws.ACCOUNT_ID}`,
      keepData,
    });
    this.issuer = issuerOf(userPool);
    this.#output(userPool);
  }

  #output({ domain, pool, clients }: MachineUserPool): void {
    new CfnOutput(this, 'TokenUrl', { value: `${domain.baseUrl()}/oauth2/token` });
    new CfnOutput(this, 'UserPoolId', { value: pool.userPoolId });
    for (const [name, { userPoolClientId }] of Object.entries(clients)) {
      new CfnOutput(this, `ClientId-${name}`, { value: userPoolClientId });
    }
  }
}

function issuerOf({ pool, clients }: MachineUserPool): Issuer {
  const issuer = `https://cognito-idp.${Aws.REGION}.${Aws.URL_SUFFIX}/${pool.userPoolId}`;
  const clientIds = Object.fromEntries(
    Object.entries(clients).map(([name, { userPoolClientId }]) => [name, userPoolClientId]),
  );
  return {
    issuer,
    // Cognito's access tokens have no `aud`; the authorizer takes their `client_id` for it.
    audiences: Object.values(clientIds),
    jwksUri: `${issuer}/.well-known/jwks.json`,
    clientIds,
    scopePrefix: SCOPE_PREFIX,
  };
}
