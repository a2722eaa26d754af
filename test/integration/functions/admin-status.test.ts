/** What the engineer on call is told, also by a Redis that does not tell everything, or nothing. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readStatus } from '../../../functions/admin/status.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';
import { type OwnRedis, startOwnRedis } from '../../support/servers.ts';

let server: OwnRedis;
let redis: GuardedRedis;

beforeEach(async () => {
  server = await startOwnRedis();
  redis = new GuardedRedis(server.url, REQUEST_GUARD);
  await redis.run((client) => client.ping());
});
afterEach(async () => {
  redis.close();
  await server.stop();
});

it('tells the memory, the generations and that nothing has run yet', async () => {
  expect(await readStatus(redis)).toEqual({
    redis: { available: true, memoryUsedBytes: expect.any(Number) },
    warmup: { runningTraceId: null, lastReports: [] },
    datasets: [
      { name: 'users', generation: '0' },
      { name: 'user-search', generation: '0' },
    ],
    totals: {},
  });
});

it('tells the rest when the server forbids to ask for its memory', async () => {
  await redis.run((client) => client.acl('SETUSER', 'default', '-info'));
  expect(await readStatus(redis)).toMatchObject({
    redis: { available: true, memoryUsedBytes: null },
    warmup: { runningTraceId: null },
  });
});

it('says so when Redis does not answer', async () => {
  server.freeze();
  expect(await readStatus(redis)).toEqual({ redis: { available: false } });
});
