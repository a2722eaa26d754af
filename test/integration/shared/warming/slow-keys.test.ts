/** Keys for which the database is too slow, though it is well: they cost themselves and nothing else. */
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { openCaches, warmableDatasetsOf } from '../../../../shared/caches.ts';
import type { Dataset } from '../../../../shared/datasets/dataset.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../../../shared/warming/dataset-warmer.ts';
import { addReads } from '../../../../shared/warming/popularity.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';
import { warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { knownReads } from '../../../support/known-reads.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { openSlowProxy } from '../../../support/slow-proxy.ts';

const IDS = Array.from({ length: 40 }, (_, index) => index + 1);
const SLOW = [7, 31];

let servers: IsolatedServers;
let database: Database;
let redis: GuardedRedis;
/** How many ids each statement asked for that ran out of its time. */
let timedOut: number[];

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl, { statementTimeoutMs: 300 }));
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: 10_000 }));
});
beforeEach(async () => {
  await redis.run((client) => client.flushdb());
  await database.query('DELETE FROM prewarm_popularity');
  timedOut = [];
  await addReads(redis, users.name, new Map(IDS.map((id) => [String(id), 5])));
});

/** Users, for some of whom Postgres works longer than it may. */
function slowUsers(isSlow: (id: number) => boolean): Dataset<number> {
  return {
    ...users,
    warmIdsMax: IDS.length,
    warmBatchSize: 10,
    async load(from, ids) {
      if (ids.some(isSlow)) {
        timedOut.push(ids.length);
        await from.query('SELECT pg_sleep(60)');
      }
      return users.load(from, ids);
    },
  };
}

function targetsOf(dataset: Dataset<number>, by = database): WarmableDataset[] {
  const registered = { users: dataset };
  return warmableDatasetsOf(redis, by, openCaches(redis, by, registered), registered);
}

/** The database is well; on a busy machine it may not say so in time. */
function run(dataset: Dataset<number>): Promise<WarmupReport> {
  return warmUp({
    traceId: crypto.randomUUID(),
    trigger: 'manual',
    redis,
    connect: () => database.connect(),
    datasets: targetsOf(dataset).map((target) => ({ ...target, isDatabaseWell: async () => true })),
    signal: new AbortController().signal,
    recordMetrics: async () => {},
  });
}

it('are parted from the others, named, and left out by the next run', async () => {
  const dataset = slowUsers((id) => SLOW.includes(id));
  const report = await run(dataset);

  expect(report.status).toBe('partial');
  const step = report.steps.find(({ name }) => name === users.warmStep);
  expect(step).toMatchObject({ planned: 40, warmed: 38, failed: 2 });
  expect(step?.failures).toEqual(
    expect.arrayContaining([
      { cause: 'too slow for Postgres: 7', keys: 1 },
      { cause: 'too slow for Postgres: 31', keys: 1 },
    ]),
  );
  // Halves of a batch once each, and what is alone twice.
  expect(timedOut.toSorted((a, b) => a - b).slice(0, 4)).toEqual([1, 1, 1, 1]);
  expect(timedOut.length).toBeLessThanOrEqual(SLOW.length * (Math.ceil(Math.log2(10)) + 2));
  const known = await knownReads(redis, users.name);
  expect(Object.keys(known).length).toBe(IDS.length - SLOW.length);
  for (const id of SLOW) expect(known).not.toHaveProperty(String(id));

  const next = await run({ ...dataset, warmIdsMax: IDS.length - SLOW.length });
  expect(next).toMatchObject({ status: 'success', planned: 38, warmed: 38 });
});

it('that are all of them say something of the database: nothing is set aside, and the run ends soon', async () => {
  const report = await run(slowUsers(() => true));
  expect(report).toMatchObject({ status: 'failed', planned: 40, warmed: 0, failed: 40 });
  expect(Object.keys(await knownReads(redis, users.name)).length).toBe(IDS.length);
  // Of the four batches that are under way at once.
  expect(timedOut.length).toBeLessThanOrEqual(4 * (Math.ceil(Math.log2(10)) + 2));
});

it('are told from a database that does not answer at all', async () => {
  const road = await openSlowProxy(servers.databaseUrl);
  const distant = closedAtEnd(new Database(road.url));
  const [target] = targetsOf(users, distant);
  await expect.poll(() => target?.isDatabaseWell()).toBe(true);
  road.hang();
  expect(await target?.isDatabaseWell()).toBe(false);
  await road.recover();
});
