/** The smoke test's token: given, or got from the issuer with a client's id and secret. */
import { type Answer, request } from './requests.ts';
import { SmokeError } from './smoke-error.ts';

export type Credentials =
  | { readonly token: string }
  | { readonly tokenUrl: string; readonly clientId: string; readonly clientSecret: string };

const COMPARE_ADDRESS = 'Compare the token address with the output TokenUrl, or PREWARM_TOKEN_URL.';

/** @throws SmokeError when the issuer gives none */
export async function getAccessToken(credentials: Credentials): Promise<string> {
  if ('token' in credentials) return credentials.token;
  const { tokenUrl, clientId, clientSecret } = credentials;
  const init = {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    // No scopes: the client gets all that it is allowed.
    body: 'grant_type=client_credentials',
  };
  const answer = await request(tokenUrl, init, COMPARE_ADDRESS);
  const { access_token: token } = (answer.json ?? {}) as { access_token?: unknown };
  if (answer.status === 200 && typeof token === 'string') return token;
  throw refused(tokenUrl, answer);
}

function refused(tokenUrl: string, { status, json }: Answer): SmokeError {
  const { error } = (json ?? {}) as { error?: unknown };
  return new SmokeError(
    `${new URL(tokenUrl).host} gives no token (${status}${typeof error === 'string' ? `, ${error}` : ''})`,
    // An issuer names an error; what names none is somebody else.
    typeof error === 'string'
      ? 'Compare PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET with the client of this stage.'
      : COMPARE_ADDRESS,
  );
}
