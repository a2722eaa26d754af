/** Calls of a running API over HTTP, and the tokens that none lets in. */
import type { TokenClaims } from '../../infra/local/identity.ts';

export type ApiCall = {
  /** Null sends no token. */
  readonly bearer: string | null;
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
};

const TIMEOUT_MS = 30_000;

/** The body is read as JSON, which all answers are. */
export async function callApi(url: string, { bearer, method = 'GET', headers = {}, body }: ApiCall) {
  const answer = await fetch(url, {
    method,
    headers: { ...(bearer !== null && { authorization: `Bearer ${bearer}` }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return { status: answer.status, headers: answer.headers, json: parse(await answer.text()) };
}

// biome-ignore lint/suspicious/noExplicitAny: a body is what each test expects
function parse(text: string): any {
  return text === '' ? undefined : JSON.parse(text);
}

/** What is sent instead of a token, or what is in one that is signed as all others. */
type Refused = { readonly token?: string | null; readonly claims?: TokenClaims };

export const REFUSED_TOKENS: readonly (readonly [what: string, refused: Refused])[] = [
  ['no token', { token: null }],
  ['text that is no token', { token: 'abc' }],
  ['an expired token', { claims: { expiresIn: '-1m' } }],
  ['a token that never expires', { claims: { expiresIn: null } }],
  ['a token for another audience', { claims: { audience: 'other' } }],
  ['a token of another issuer', { claims: { issuer: 'https://other.example' } }],
];
