/** What a deployed API must do: answer, refuse who has no token, read for who has one, and tell its status. */
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import type { WarmupReport } from '../../shared/warming/report.ts';

/** `warning` when the API works and somebody should look all the same. */
export type Finding = { readonly text: string; readonly warning?: string };

/** What is wrong with a deployed API, and what whoever reads it should do next. */
export class SmokeError extends Error {
  readonly next: string;

  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, options);
    this.next = next;
  }
}

export type Credentials =
  | { readonly token: string }
  | { readonly tokenUrl: string; readonly clientId: string; readonly clientSecret: string };

/** The body is undefined when it is no JSON. */
type Answer = { readonly status: number; readonly headers: Headers; readonly json: unknown };

/** An API just deployed may start its first containers: a cold one answers within this, and is not the last try. */
const TIMEOUT_MS = 15_000;
const TRIES_MAX = 3;
const PAUSE_SECONDS = 2;
/** A limit of so many calls a minute lets the next one through after a minute at most. */
const RETRY_AFTER_SECONDS_MAX = 65;
const RETRIED_STATUSES = [429, 502, 503, 504];

const COMPARE_ADDRESS = 'Compare the address with the output ApiUrl of the deployed stack.';
const COMPARE_TOKEN_ADDRESS = 'Compare the token address with the output TokenUrl, or PREWARM_TOKEN_URL.';

const healthForm = z.object({ status: z.enum(['ok', 'degraded']) });
const usersForm = z.object({ items: z.array(z.unknown()) });
/** Without Redis there are no reports. The newest comes first. */
const statusForm = z
  .object({
    redis: z.object({ available: z.boolean() }),
    warmup: z
      .object({ runningTraceId: z.string().nullable(), lastReports: z.array(z.custom<WarmupReport>()) })
      .optional(),
  })
  .refine(({ redis, warmup }) => warmup || !redis.available);
export type Status = z.infer<typeof statusForm>;

export async function checkHealth(apiUrl: string): Promise<Finding> {
  const answer = await request(`${apiUrl}/health`);
  const { data: health } = healthForm.safeParse(answer.status === 200 && answer.json);
  if (health?.status === 'ok') return { text: 'GET /health: ok' };
  if (health) {
    const warning =
      'Redis is away: reads come from Postgres. Look at its cluster, and at the security groups.';
    return { text: 'GET /health: degraded', warning };
  }
  const next = 'Postgres does not answer: look at the database, and at the log of the read function.';
  throw new SmokeError(`GET /health: ${describe(answer)}`, answer.status === 503 ? next : COMPARE_ADDRESS);
}

export async function checkRefusal(apiUrl: string): Promise<Finding> {
  const answer = await request(`${apiUrl}/users/1`);
  const isProblem = answer.headers.get('content-type')?.startsWith('application/problem+json');
  if (answer.status === 401 && isProblem) return { text: 'GET /users/1 without a token: 401' };
  throw new SmokeError(
    `GET /users/1 without a token: ${describe(answer)} instead of 401 as application/problem+json`,
    'Whoever has no token must not read: look at the authorizer and the gateway responses of the API.',
  );
}

/** @throws SmokeError when the issuer gives none */
export async function getAccessToken(credentials: Credentials): Promise<string> {
  if ('token' in credentials) return credentials.token;
  const { tokenUrl, clientId, clientSecret } = credentials;
  const headers = {
    authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
    'content-type': 'application/x-www-form-urlencoded',
  };
  const body = 'grant_type=client_credentials'; // without scopes: the client gets all that it is allowed
  const answer = await request(tokenUrl, { method: 'POST', headers, body }, COMPARE_TOKEN_ADDRESS);
  const { access_token: token, error } = (answer.json ?? {}) as Record<string, unknown>;
  if (answer.status === 200 && typeof token === 'string') return token;
  const issuer = `${new URL(tokenUrl).host} gives no token (${answer.status}`;
  // An issuer names an error; what names none is somebody else.
  if (typeof error !== 'string') throw new SmokeError(`${issuer})`, COMPARE_TOKEN_ADDRESS);
  const next = 'Compare PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET with the client of this stage.';
  throw new SmokeError(`${issuer}, ${error})`, next);
}

/** Several ids rather than one: the answer is 200 also while the table is empty, and all layers were asked. */
export async function checkRead(apiUrl: string, token: string): Promise<Finding> {
  const { data, headers } = await callAs(token, apiUrl, '/users?ids=1,2', usersForm);
  const layer = headers.get('x-cache') ?? 'without x-cache';
  return { text: `GET /users?ids=1,2: ${data.items.length} of 2 users, ${layer}` };
}

export async function checkStatus(apiUrl: string, token: string): Promise<Finding & { status: Status }> {
  const { data: status } = await callAs(token, apiUrl, '/admin/status', statusForm);
  const call = 'GET /admin/status';
  return status.redis.available
    ? { status, text: `${call}: reports of the last ${status.warmup?.lastReports.length} warm-ups` }
    : { status, text: `${call}: Redis is away`, warning: 'Redis is away: nothing can be warmed.' };
}

const NEXT: Readonly<Record<number, string>> = {
  200: 'Compare the address with the output ApiUrl: another API may answer there.',
  401: "The token is refused: compare its iss, aud or client_id, and exp with the stage's issuer.",
  403: 'The client of the token needs the scopes users:read and cache:admin.',
  429: 'Another run used up the limit of this client: try again in a minute.',
};

/** @throws SmokeError also when the answer is not that of this API */
async function callAs<T>(token: string, apiUrl: string, path: string, form: z.ZodType<T>) {
  const answer = await request(`${apiUrl}${path}`, { headers: { authorization: `Bearer ${token}` } });
  const { data } = form.safeParse(answer.status === 200 ? answer.json : undefined);
  if (data !== undefined) return { data, headers: answer.headers };
  const unexpected = answer.status === 200 ? ', but not in the form that was expected' : '';
  const next = NEXT[answer.status] ?? 'Look for the traceId in the log of the function that answered.';
  throw new SmokeError(`GET ${path}: ${describe(answer)}${unexpected}`, next);
}

function describe({ status, json }: Answer): string {
  const { title, detail, traceId } = (json ?? {}) as Record<string, unknown>;
  const words = [title, detail].filter((word) => typeof word === 'string').join(': ');
  return `${status}${words && ` ${words}`}${typeof traceId === 'string' ? ` (traceId ${traceId})` : ''}`;
}

/** Three tries where a moment later may be better. @throws SmokeError that says `next` when nothing came */
async function request(url: string, init: RequestInit = {}, next = COMPARE_ADDRESS): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const answer = await exchange(url, init).catch((error: Error) => error);
    const isLast = tries === TRIES_MAX;
    if (!(answer instanceof Error)) {
      if (isLast || !RETRIED_STATUSES.includes(answer.status)) return answer;
      await sleep(1_000 * pauseAfter(answer));
    } else if (isLast) {
      const { code = answer.message } = (answer.cause ?? {}) as { code?: string };
      throw new SmokeError(`${new URL(url).origin} does not answer (${code})`, next, { cause: answer });
    } else await sleep(1_000 * PAUSE_SECONDS);
  }
}

function pauseAfter({ headers }: Answer): number {
  const seconds = Number(headers.get('retry-after'));
  return seconds > 0 ? Math.min(seconds, RETRY_AFTER_SECONDS_MAX) : PAUSE_SECONDS;
}

async function exchange(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  return { status: response.status, headers: response.headers, json: parse(await response.text()) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
