/** What an API must do to be called deployed: answer, refuse who has no token, read for who has one, tell its status. */
import type { WarmupReport } from '../../shared/warming/report.ts';
import { type Answer, request } from './requests.ts';
import { SmokeError } from './smoke-error.ts';

/** What was found, in words; `warning` when the API works and somebody should look all the same. */
export type Finding = { readonly text: string; readonly warning?: string };

/** What the smoke test reads of `GET /admin/status`. */
export type Status = {
  readonly redis: { readonly available: boolean };
  /** Undefined while Redis is away. */
  readonly warmup?: {
    readonly runningTraceId: string | null;
    /** Newest first. */
    readonly lastReports: readonly WarmupReport[];
  };
};

export async function checkHealth(apiUrl: string): Promise<Finding> {
  const answer = await request(`${apiUrl}/health`);
  const { status: health } = (answer.json ?? {}) as { status?: unknown };
  if (answer.status === 200 && health === 'ok') return { text: 'GET /health: ok' };
  if (answer.status === 200 && health === 'degraded') {
    const warning =
      'Redis is away: reads come from Postgres. Look at its cluster, and at the security groups.';
    return { text: 'GET /health: degraded', warning };
  }
  throw new SmokeError(
    `GET /health: ${describe(answer)}`,
    answer.status === 503
      ? 'Postgres does not answer: look at the database, and at the log of the read function.'
      : 'Compare the address with the output ApiUrl of the deployed stack.',
  );
}

export async function checkRefusal(apiUrl: string): Promise<Finding> {
  const answer = await request(`${apiUrl}/users/1`);
  const isProblem = answer.headers.get('content-type')?.startsWith('application/problem+json') === true;
  if (answer.status === 401 && isProblem) return { text: 'GET /users/1 without a token: 401' };
  throw new SmokeError(
    `GET /users/1 without a token: ${describe(answer)} instead of 401 as application/problem+json`,
    'Whoever has no token must not read: look at the authorizer and the gateway responses of the API.',
  );
}

/** Several ids rather than one: the answer is 200 also while the table is empty, and all layers were asked. */
export async function checkRead(apiUrl: string, token: string): Promise<Finding> {
  const { answer, json } = await callAs<{ items: unknown }>(apiUrl, '/users?ids=1,2', token);
  if (!Array.isArray(json.items)) throw unexpected('GET /users', answer);
  const found = `${json.items.length} of 2 users, ${answer.headers.get('x-cache') ?? 'without x-cache'}`;
  return { text: `GET /users?ids=1,2: ${found}` };
}

/** @throws SmokeError also when the answer is not that of this API */
export async function readStatus(apiUrl: string, token: string): Promise<Status> {
  const { answer, json } = await callAs<Status>(apiUrl, '/admin/status', token);
  if (typeof json.redis?.available !== 'boolean') throw unexpected('GET /admin/status', answer);
  if (json.redis.available && !Array.isArray(json.warmup?.lastReports)) {
    throw unexpected('GET /admin/status', answer);
  }
  return json;
}

export function describeStatus({ redis, warmup }: Status): Finding {
  if (!redis.available) {
    return { text: 'GET /admin/status: Redis is away', warning: 'Redis is away: nothing can be warmed.' };
  }
  return { text: `GET /admin/status: reports of the last ${warmup?.lastReports.length ?? 0} warm-ups` };
}

async function callAs<T>(apiUrl: string, path: string, token: string) {
  const answer = await request(`${apiUrl}${path}`, { headers: { authorization: `Bearer ${token}` } });
  if (answer.status === 200) return { answer, json: (answer.json ?? {}) as Partial<T> as T };
  throw new SmokeError(`GET ${path}: ${describe(answer)}`, nextAfter(answer.status));
}

function nextAfter(status: number): string {
  if (status === 401) {
    return "The token is refused: compare its iss, aud or client_id, and exp with the stage's issuer.";
  }
  if (status === 403) return 'The client of the token needs the scopes users:read and cache:admin.';
  if (status === 429) return 'Another run used up the limit of this client: try again in a minute.';
  return 'Look for the traceId in the log of the function that answered.';
}

function unexpected(call: string, answer: Answer): SmokeError {
  return new SmokeError(
    `${call}: ${answer.status}, but not in the form that was expected`,
    'Compare the address with the output ApiUrl: another API may answer there.',
  );
}

function describe({ status, json }: Answer): string {
  const { title, detail, traceId } = (json ?? {}) as Record<string, unknown>;
  const words = [title, detail].filter((word) => typeof word === 'string').join(': ');
  return `${status}${words && ` ${words}`}${typeof traceId === 'string' ? ` (traceId ${traceId})` : ''}`;
}
