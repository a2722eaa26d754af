/** Verifies tokens of any OIDC issuer: signed with an asymmetric key that it publishes, not expired, for this API, of somebody. */

import { JwtVerifier } from 'aws-jwt-verify';
import { JwtInvalidSignatureAlgorithmError, JwtInvalidSignatureError } from 'aws-jwt-verify/error';
import { TokenRefusedError } from '../../shared/errors.ts';
import { IssuerKeys } from './issuer-keys.ts';

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

type Json = Readonly<Record<string, unknown>>;

/** API Gateway takes 10 kB of headers in all. */
const TOKEN_CHARACTERS_MAX = 8_192;
/** Three parts in base64url; the first two are JSON, the third is the signature. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** A token that is valid for longer has its end in milliseconds, as a rule. */
const LIFE_MAX_S = 366 * 24 * 3_600;
/** RFC 9068 and RFC 7519; others are for something else, such as a logout. */
const TYPES = /^(application\/)?(jwt|at\+jwt)$/i;
/** Its access tokens name their client where others name an audience. */
const COGNITO = /^https:\/\/([\w-]+\.)?cognito-idp\.[\w-]+\.amazonaws\.com(\.cn)?\/[\w-]+$/;

/** Answers the claims of a token. Rejects with `IssuerUnavailableError`, or with an error that says what is wrong with the token. */
export function createTokenVerifier(rules: TokenRules): (token: string) => Promise<TokenClaims> {
  const { issuer, jwksUri, scopePrefix = '' } = rules;
  // The library remembers what it made of a key by the key's name only.
  const keys = new IssuerKeys((jwks) => verifier.cacheJwks(jwks));
  const verifier = JwtVerifier.create(
    // The audience is checked below: the library knows no token that names it in another claim.
    { issuer, jwksUri, audience: null, customJwtCheck: ({ payload }) => requireClaims(payload, rules) },
    { jwksCache: keys },
  );
  return async (token) => {
    requireForm(token, issuer);
    const payload = await verifier.verify(token).catch(async (error: unknown) => {
      if (!isOfKey(error) || !keys.mayAskAgain) throw error;
      await keys.getJwks(jwksUri);
      return verifier.verify(token);
    });
    const { sub, scope, client_id: clientId, azp, exp } = payload as Json;
    return {
      sub: String(sub),
      scope: ourScopes(String(scope ?? ''), scopePrefix),
      client: String(clientId ?? azp ?? ''),
      exp: Number(exp),
    };
  };
}

/** A key of this name does not fit: the issuer may have another one by now. */
function isOfKey(error: unknown): boolean {
  return error instanceof JwtInvalidSignatureError || error instanceof JwtInvalidSignatureAlgorithmError;
}

/**
 * What can be refused before anything is done for the token. Of another issuer above all: the library keeps a key for each
 * issuer that a token names, before it knows whether that is true.
 */
function requireForm(token: string, issuer: string): void {
  if (token.length > TOKEN_CHARACTERS_MAX || !JWT.test(token))
    throw new TokenRefusedError('That is no token.');
  const [header, payload] = token.split('.', 2).map(decode);
  if (payload?.['iss'] !== issuer) throw new TokenRefusedError('The token is of another issuer.');
  // RFC 7515: who does not know an extension that is said to be critical must refuse it. We know none.
  if (header === undefined || 'crit' in header || 'b64' in header) {
    throw new TokenRefusedError('The token has extensions that are not known here.');
  }
  if (!TYPES.test(String(header['typ'] ?? 'JWT')))
    throw new TokenRefusedError('The token is for something else.');
}

function decode(part: string): Json | undefined {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof decoded === 'object' && decoded !== null ? (decoded as Json) : undefined;
  } catch {
    return undefined; // no JSON: no token
  }
}

/**
 * The scopes by the names that the functions know. Where ours carry a prefix, one without it was granted for another
 * API of the same issuer: `cache:admin` there must not be `cache:admin` here, so it is dropped.
 */
function ourScopes(scope: string, prefix: string): string {
  const ours = scope.split(' ').filter((name) => name.startsWith(prefix));
  return ours.map((name) => name.slice(prefix.length)).join(' ');
}

/** The library accepts a token that never expires, or that is nobody's, and claims of any type. */
function requireClaims(payload: Json, { issuer, audiences }: TokenRules): void {
  const { aud, client_id: clientId, exp, sub } = payload;
  for (const name of ['client_id', 'azp', 'scope']) requireTextOrNothing(name, payload[name]);
  const named = [aud ?? (COGNITO.test(issuer) ? clientId : undefined)].flat();
  if (!audiences.some((audience) => named.includes(audience)))
    throw new TokenRefusedError('The token is for somebody else.');
  if (typeof exp !== 'number') throw new TokenRefusedError('The token has no "exp".');
  if (exp > Date.now() / 1_000 + LIFE_MAX_S)
    throw new TokenRefusedError('The token ends in more than a year.');
  // Its sender must prove possession of a key, which nothing here can check.
  if (payload['cnf'] !== undefined) throw new TokenRefusedError('The token is bound to a key.');
  if (typeof sub !== 'string' || sub === '') throw new TokenRefusedError('The token has no "sub".');
}

/** A list with one name in it would be read as that name. */
function requireTextOrNothing(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'string') return;
  throw new TokenRefusedError(`"${name}" of the token is no text.`);
}
