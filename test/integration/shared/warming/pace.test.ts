/** A warm-up and a real PostgreSQL that becomes slow under it: how many statements are under way, over which connections. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openCaches, warmTargetsOf } from '../../../../shared/caches.ts';
import type { Dataset } from '../../../../shared/datasets/dataset.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import {
  type WarmedTarget,
  type WarmTargetOptions,
  warmTarget,
} from '../../../../shared/warming/warm-target.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { openSlowProxy, type SlowProxy } from '../../../support/slow-proxy.ts';

/** Of each statement, so that what the machine adds does not matter. */
const LATENCY_MS = 25;
const CONNECTIONS_OF_OTHERS = `
SELECT count(*)::int AS count FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`;

let servers: IsolatedServers;
let proxy: SlowProxy;
let database: Database;
let observer: Database;
let redis: GuardedRedis;
/** Statements that were begun, when, and how many were under way then, this one included. */
let loads: { readonly atMs: number; readonly underWay: number }[];

beforeAll(async () => {
  servers = await isolatedServers();
  proxy = await openSlowProxy(servers.databaseUrl);
  database = new Database(proxy.url, { connectionsMax: 2 });
  observer = new Database(servers.databaseUrl, { connectionsMax: 1 });
  redis = new GuardedRedis(servers.redisUrl, WARMER_GUARD);
});
afterAll(async () => {
  redis.close();
  await Promise.all([database.close(), observer.close()]);
  await proxy.close();
  await servers.dispose();
});
beforeEach(async () => {
  loads = [];
  proxy.slow(LATENCY_MS);
  await redis.run((client) => client.flushdb());
});

/** Ten keys a statement: so many statements that there is something to see. */
function start(keys: number, options: Partial<WarmTargetOptions> = {}): Promise<WarmedTarget> {
  let underWay = 0;
  const watched: Dataset<number> = {
    ...users,
    warmIdsMax: keys,
    warmBatchSize: 10,
    load: async (from, ids) => {
      loads.push({ atMs: performance.now(), underWay: ++underWay });
      return users.load(from, ids).finally(() => underWay--);
    },
  };
  const registered = { users: watched };
  const caches = openCaches(redis, database, registered);
  const [target] = warmTargetsOf(redis, database, caches, registered);
  const signal = new AbortController().signal;
  return warmTarget(target as NonNullable<typeof target>, { signal, isUrgent: true, ...options });
}

const untilLoads = (count: number) => expect.poll(() => loads.length, { interval: 5 }).toBeGreaterThan(count);

it('a statement that takes twice as long halves what is under way, within a second', async () => {
  const warming = start(1_200);
  await untilLoads(20);
  expect(Math.max(...loads.map(({ underWay }) => underWay))).toBe(2);
  const slowSinceMs = performance.now();
  proxy.slow(2 * LATENCY_MS);
  const ended = await warming;
  const later = loads.filter(({ atMs }) => atMs > slowSinceMs + 1_000);
  expect(later.length).toBeGreaterThan(3);
  expect(Math.max(...later.map(({ underWay }) => underWay))).toBe(1);
  expect(ended.report).toMatchObject({ status: 'success', planned: 1_200, warmed: 1_200 });
});

it('the database is worked harder again when it has recovered', async () => {
  const warming = start(1_500);
  await untilLoads(10);
  proxy.slow(3 * LATENCY_MS);
  await expect.poll(() => loads.slice(-3).every(({ underWay }) => underWay === 1)).toBe(true);
  await sleep(200); // for the loads that follow to be slow as well
  proxy.slow(LATENCY_MS);
  const slowCount = loads.length;
  await expect.poll(() => loads.slice(slowCount).some(({ underWay }) => underWay === 2)).toBe(true);
  expect((await warming).report.status).toBe('success');
});

it('a warm-up has two connections at most', async () => {
  const warming = start(600);
  let seen = 0;
  for (let look = 1; look <= 10; look++) {
    await untilLoads(look * 5);
    const [row] = await observer.query<{ count: number }>(CONNECTIONS_OF_OTHERS);
    seen = Math.max(seen, row?.count ?? 0);
  }
  await warming;
  expect(seen).toBe(2);
});

it('an end of the run does not wait for a rest', async () => {
  const end = new AbortController();
  const warming = start(3_000, { signal: end.signal });
  await untilLoads(10);
  proxy.slow(8 * LATENCY_MS);
  await untilLoads(15); // those after the first ones that were slow come after a rest
  await sleep(10 * LATENCY_MS); // longer than a load: one is over, and its rest has begun
  const endedAtMs = performance.now();
  end.abort(new Error('enough'));
  const { report, unfinishedKeys } = await warming;
  expect(performance.now() - endedAtMs).toBeLessThan(200); // a rest is 600 ms
  expect(report.status).toBe('partial');
  expect(unfinishedKeys.length).toBe(report.failed);
});

it('without hurry, the database rests most of the time', async () => {
  const { report } = await start(200, { isUrgent: false });
  expect(Math.max(...loads.map(({ underWay }) => underWay))).toBe(1);
  expect(report.durationMs).toBeGreaterThan(20 * 100); // 20 batches, a tenth of a second after each
  expect(report.status).toBe('success');
});
