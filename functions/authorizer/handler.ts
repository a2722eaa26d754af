/** Decides who calls: a valid token of the issuer lets its bearer into the whole API; the functions decide by its scopes. */

import { FetchError } from 'aws-jwt-verify/error';
import type { APIGatewayAuthorizerResult, APIGatewayTokenAuthorizerEvent } from 'aws-lambda';
import { environment } from '../../shared/environment.ts';
import { log, setLogLevel, withTraceId } from '../../shared/logger.ts';
import { createTokenVerifier, type TokenClaims } from './token-verifier.ts';

setLogLevel(environment.logLevel());
const usageKeys = environment.usageKeys();
const verify = createTokenVerifier({
  issuer: environment.jwtIssuer(),
  audiences: environment.jwtAudiences(),
  jwksUri: environment.jwtJwksUri(),
  scopePrefix: environment.jwtScopePrefix(),
});

/** API Gateway answers 401 to exactly this message, and 500 to any other. */
const UNAUTHORIZED = 'Unauthorized';

export function handler(
  event: APIGatewayTokenAuthorizerEvent,
  context: { awsRequestId: string },
): Promise<APIGatewayAuthorizerResult> {
  return withTraceId(context.awsRequestId, () => authorize(event));
}

async function authorize(event: APIGatewayTokenAuthorizerEvent): Promise<APIGatewayAuthorizerResult> {
  const claims = await claimsOf(event.authorizationToken);
  const client = Object.hasOwn(usageKeys, claims.client) ? claims.client : 'default';
  return {
    principalId: claims.sub,
    policyDocument: allowWholeApi(event.methodArn),
    // The functions look at its end themselves: API Gateway keeps this answer for longer than some tokens live.
    context: { sub: claims.sub, scope: claims.scope, client, exp: claims.exp },
    usageIdentifierKey: usageKeys[client] ?? null,
  };
}

async function claimsOf(authorization: string): Promise<TokenClaims> {
  const token = /^Bearer ([^\s]+)$/i.exec(authorization)?.[1];
  if (token === undefined) throw new Error(UNAUTHORIZED);
  try {
    return await verify(token);
  } catch (error) {
    if (error instanceof FetchError) {
      log.error("The issuer's keys could not be fetched.", { error });
      throw error;
    }
    // Why exactly is for us: an attacker learns nothing from the answer.
    log.info('A token was refused.', { reason: error instanceof Error ? error.constructor.name : 'unknown' });
    throw new Error(UNAUTHORIZED);
  }
}

/** API Gateway keeps the answer and uses it for other paths too: so it must hold for all of them. */
function allowWholeApi(methodArn: string): APIGatewayAuthorizerResult['policyDocument'] {
  const [api, stage] = methodArn.split('/');
  return {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'execute-api:Invoke', Resource: `${api}/${stage}/*` }],
  };
}
