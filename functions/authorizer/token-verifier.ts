/** Verifies tokens of any OIDC issuer: signed with an asymmetric key that it publishes, not expired, for this API, of somebody. */

import { JwtVerifier } from 'aws-jwt-verify';
import { SimpleFetcher } from 'aws-jwt-verify/https';
import { SimpleJwksCache } from 'aws-jwt-verify/jwk';
import { TokenRefusedError } from '../../shared/errors.ts';

export type TokenClaims = {
  readonly sub: string;
  readonly scope: string;
  readonly client: string;
  /** When the token ends, in seconds since 1970. */
  readonly exp: number;
};

export type TokenRules = {
  readonly issuer: string;
  /** A token must be for one of these. */
  readonly audiences: readonly string[];
  readonly jwksUri: string;
  /** What the issuer puts before the names of our scopes, such as `prewarm/`. @default nothing */
  readonly scopePrefix?: string | undefined;
};

const FETCH_TIMEOUT_MS = 3_000;
const LOOPBACK_HOSTS = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Answers the claims of a token, or rejects with the library's error that says what is wrong with it. */
export function createTokenVerifier(rules: TokenRules): (token: string) => Promise<TokenClaims> {
  const { issuer, audiences, jwksUri, scopePrefix = '' } = rules;
  const verifier = JwtVerifier.create(
    // The audience is checked below: the library knows no token that names it in another claim.
    { issuer, jwksUri, audience: null, customJwtCheck: ({ payload }) => requireClaims(payload, audiences) },
    { jwksCache: new SimpleJwksCache({ fetcher: new JwksFetcher() }) },
  );
  return async (token) => {
    const payload = await verifier.verify(token);
    const { sub, scope, client_id: clientId, azp, exp } = payload as Record<string, unknown>;
    return {
      sub: String(sub),
      scope: ourScopes(String(scope ?? ''), scopePrefix),
      client: String(clientId ?? azp ?? ''),
      exp: Number(exp),
    };
  };
}

/**
 * The scopes by the names that the functions know. Where ours carry a prefix, one without it was granted for another
 * API of the same issuer: `cache:admin` there must not be `cache:admin` here, so it is dropped.
 */
function ourScopes(scope: string, prefix: string): string {
  const ours = scope.split(' ').filter((name) => name.startsWith(prefix));
  return ours.map((name) => name.slice(prefix.length)).join(' ');
}

/** The library accepts a token that never expires, or that is nobody's. Cognito's access tokens name their client instead of an audience. */
function requireClaims(payload: Record<string, unknown>, audiences: readonly string[]): void {
  const named = [payload['aud'] ?? payload['client_id']].flat();
  if (!audiences.some((audience) => named.includes(audience)))
    throw new TokenRefusedError('The token is for somebody else.');
  if (typeof payload['exp'] !== 'number') throw new TokenRefusedError('The token has no "exp".');
  if (typeof payload['sub'] !== 'string' || payload['sub'] === '') {
    throw new TokenRefusedError('The token has no "sub".');
  }
}

/** Keys come over TLS; without it only from this machine, which is what the local stage does. */
class JwksFetcher extends SimpleFetcher {
  override async fetch(uri: string, ...rest: unknown[]): Promise<ArrayBuffer> {
    const { protocol, hostname } = new URL(uri);
    if (protocol !== 'http:' || !LOOPBACK_HOSTS.has(hostname)) {
      return super.fetch(uri, ...(rest as []));
    }
    const answer = await fetch(uri, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    return answer.arrayBuffer();
  }
}
