/** What was warmed and is gone before the run ends, though Redis is not full: it is warmed again. */
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { openCaches } from '../../../../shared/caches.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../../../shared/warming/dataset-warmer.ts';
import { warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { isolatedServers } from '../../../support/servers.ts';
import { datasetsOf, targetsOf } from '../../../support/warm-ups.ts';

const USERS = 300;
const SEARCHES = 5;

let database: Database;
let redis: GuardedRedis;

beforeAll(async () => {
  const servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: 10_000 }));
});
beforeEach(async () => {
  await redis.run((client) => client.flushdb());
});

/** Does something when the users are warm and the searches are chosen. */
function between(act: () => Promise<unknown>): WarmableDataset[] {
  const [first, second] = targetsOf(redis, database, datasetsOf(USERS, SEARCHES)) as [
    WarmableDataset,
    WarmableDataset,
  ];
  const plan = async () => {
    await act();
    return second.plan();
  };
  return [first, { ...second, plan }];
}

it.each([
  ['a clear of the users', () => openCaches(redis, database).users.clear()],
  ['a Redis that loses everything', () => redis.run((client) => client.flushdb())],
  [
    'keys that somebody deletes',
    async () => {
      const deleted = await redis.run((client) => client.keys('prewarm:entry:users:*'));
      await redis.run((client) => client.del(deleted.slice(0, 200)));
    },
  ],
])('%s after their step leaves them warm', async (_, act) => {
  const report = await warmUp({
    traceId: crypto.randomUUID(),
    trigger: 'manual',
    redis,
    connect: () => database.connect(),
    datasets: between(act),
    signal: new AbortController().signal,
    recordMetrics: async () => {},
  });
  const step = report.steps.find(({ name }) => name === users.warmStep);
  expect(step).toMatchObject({
    planned: USERS,
    warmed: USERS,
    failed: 0,
    confirmed: USERS,
    lostToEviction: 0,
  });
  const caches = openCaches(redis, database);
  const reads = await caches.users.getMany(await users.rank(database, USERS));
  expect(reads.filter(({ layer }) => layer !== 'l2')).toEqual([]);
});
