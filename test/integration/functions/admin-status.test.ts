/** What the engineer on call is told, also by a Redis that does not tell everything, or nothing. */
import { beforeEach, expect, it } from 'vitest';
import { readStatus } from '../../../functions/admin/status.ts';
import { GuardedRedis, type GuardOptions, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../support/at-end.ts';
import { type OwnRedis, startOwnRedis } from '../../support/servers.ts';

/** A bound against hanging: the machine may be busy. */
const PATIENT_MS = 60_000;

const NAMES = ['one', 'another'];

let server: OwnRedis;
let redis: GuardedRedis;

beforeEach(async () => {
  server = await startOwnRedis();
  redis = await open({ ...REQUEST_GUARD, timeoutMs: PATIENT_MS });
});

async function open(guard: GuardOptions): Promise<GuardedRedis> {
  const opened = closedAtEnd(new GuardedRedis(server.url, guard));
  await opened.connect(PATIENT_MS);
  return opened;
}

it('tells the memory, the generations and that nothing has run yet', async () => {
  expect(await readStatus(redis, NAMES)).toEqual({
    redis: { available: true, memoryUsedBytes: expect.any(Number) },
    warmup: { runningTraceId: null, lastReports: [] },
    datasets: NAMES.map((name) => ({ name, generation: '0' })),
    totals: {},
    lastPushFailure: null,
  });
});

it('tells the rest when the server forbids to ask for its memory', async () => {
  await redis.run((client) => client.acl('SETUSER', 'default', '-info'));
  expect(await readStatus(redis, NAMES)).toMatchObject({
    redis: { available: true, memoryUsedBytes: null },
    warmup: { runningTraceId: null },
  });
});

it('says so when Redis does not answer', async () => {
  const impatient = await open(REQUEST_GUARD);
  server.freeze();
  expect(await readStatus(impatient, NAMES)).toEqual({ redis: { available: false } });
});
