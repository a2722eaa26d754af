/** Decides who calls, and by the token's scopes, what of the API is open to them; the functions check the scopes again. */
import type { APIGatewayAuthorizerResult, APIGatewayTokenAuthorizerEvent } from 'aws-lambda';
import { environment } from '../../shared/environment.ts';
import { IssuerUnavailableError } from '../../shared/errors.ts';
import { openedBy } from '../../shared/http/scopes.ts';
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
    policyDocument: policyOf(event.methodArn, claims.scope),
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
    if (error instanceof IssuerUnavailableError) {
      log.error('token.check_failed', 'A token could not be checked.', { error });
      throw error;
    }
    // Why exactly is for us: an attacker learns nothing from the answer.
    log.info('token.refused', 'A token was refused.', {
      reason: error instanceof Error ? error.constructor.name : 'unknown',
    });
    throw new Error(UNAUTHORIZED);
  }
}

/**
 * API Gateway keeps the answer and uses it for other paths too: so it lists all that the token may do, whatever was
 * called. A caller without the right is refused before the limits of those who have it.
 */
function policyOf(methodArn: string, scopes: string): APIGatewayAuthorizerResult['policyDocument'] {
  const [api, stage] = methodArn.split('/');
  const allowed = openedBy(scopes).map((path) => `${api}/${stage}/${path}`);
  const opensNothing = allowed.length === 0;
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: opensNothing ? 'Deny' : 'Allow',
        Action: 'execute-api:Invoke',
        Resource: opensNothing ? `${api}/${stage}/*` : allowed,
      },
    ],
  };
}
