/** Many invocations at once in one process, as Lambda's managed instances have them: nothing of one gets into another. */
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { users } from '../../../shared/datasets/users.ts';
import type { WarmupReport } from '../../../shared/warming/report.ts';
import { queryOnce } from '../../support/own-servers.ts';
import { type IsolatedServers, isolatedServers } from '../../support/servers.ts';

const AT_ONCE = Array.from({ length: 64 }, (_, index) => `invocation-${index}`);
const USERS = 40;
const CONTEXT = { getRemainingTimeInMillis: () => 90_000 } as Context;

let servers: IsolatedServers;
const write = vi.spyOn(process.stdout, 'write');

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
  const sql = `INSERT INTO users (id, username, display_name)
    SELECT n, 'user-' || n, 'User ' || n FROM generate_series(1, ${USERS}) AS n`;
  await queryOnce(servers.databaseUrl, sql);
});
beforeEach(() => {
  vi.resetModules();
  vi.stubEnv('REDIS_URL', servers.redisUrl);
  vi.stubEnv('DATABASE_URL', servers.databaseUrl);
  vi.stubEnv('PUSHGATEWAY_URL', '');
  vi.stubEnv('WARMER_FUNCTION_NAME', 'warmer');
  vi.stubEnv('LOG_LEVEL', 'info');
  write.mockReset().mockReturnValue(true);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const lines = () => write.mock.calls.map(([line]) => JSON.parse(String(line)) as Record<string, unknown>);

function request(requestId: string, scope: string, rest: object): APIGatewayProxyEvent {
  const authorizer = { sub: requestId, scope, exp: '9999999999' };
  return { httpMethod: 'GET', headers: {}, requestContext: { requestId, authorizer }, ...rest } as never;
}

type Handler = (event: APIGatewayProxyEvent, context: Context) => Promise<APIGatewayProxyResult>;

it('reads are each answered their own user, under their own traceId', async () => {
  const { handler } = (await import('../../../functions/read/handler.ts')) as { handler: Handler };
  const get = (id: string, index: number) => {
    const pathParameters = { id: String(1 + (index % USERS)) };
    return handler(request(id, 'users:read', { resource: '/users/{id}', pathParameters }), CONTEXT);
  };
  // From Redis afterwards: two connections to Postgres would keep some waiting for too long on a busy machine.
  for (let index = 0; index < USERS; index++) await get('before', index);
  const answers = await Promise.all(AT_ONCE.map(get));
  expect(answers.map(({ headers }) => headers?.['x-trace-id'])).toEqual(AT_ONCE);
  expect(answers.map(({ body }) => JSON.parse(body).id)).toEqual(
    AT_ONCE.map((_, index) => 1 + (index % USERS)),
  );
});

it('calls of admins are each counted for their own subject, under their own traceId', async () => {
  const { handler } = (await import('../../../functions/admin/handler.ts')) as { handler: Handler };
  const call = (id: string) => handler(request(id, 'cache:admin', { resource: '/admin/status' }), CONTEXT);
  const answers = await Promise.all(AT_ONCE.map(call));
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(AT_ONCE.map(() => 200));
  expect(answers.map(({ headers }) => headers?.['x-trace-id'])).toEqual(AT_ONCE);
});

it('warm-ups each report and log under their own traceId, and one of them runs', async () => {
  const { handler } = await import('../../../functions/warmer/handler.ts');
  const run = (traceId: string) => handler({ trigger: 'schedule', traceId }, CONTEXT);
  const reports: WarmupReport[] = await Promise.all(AT_ONCE.map(run));
  expect(reports.map(({ traceId }) => traceId)).toEqual(AT_ONCE);
  const [ran, ...more] = reports.filter(({ status }) => status !== 'skipped');
  expect(more).toEqual([]);
  expect(ran).toMatchObject({ status: 'success' });
  expect(ran?.steps.map(({ name }) => name)).toContain(users.warmStep);
  for (const { status, holderTraceId } of reports)
    if (status === 'skipped') expect(holderTraceId).toBe(ran?.traceId);
  const ended = lines().filter(({ event }) => event === 'warmup.finished');
  expect(ended.map(({ traceId }) => traceId).toSorted()).toEqual(AT_ONCE.toSorted());
  expect(ended.filter(({ message }) => message === 'Warm-up ended: success.')).toEqual([
    expect.objectContaining({ traceId: ran?.traceId }),
  ]);
});
