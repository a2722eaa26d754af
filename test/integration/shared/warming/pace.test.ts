/** A warm-up and a real PostgreSQL that becomes slow under it: how many statements are under way, over which connections, and when the database rests. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { openCaches, warmTargetsOf } from '../../../../shared/caches.ts';
import type { Dataset } from '../../../../shared/datasets/dataset.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { EvictionWatch } from '../../../../shared/warming/eviction-watch.ts';
import type * as Retry from '../../../../shared/warming/retry.ts';
import type { WarmBatch, WarmTarget } from '../../../../shared/warming/target.ts';
import {
  TargetWarming,
  type WarmedTarget,
  type WarmTargetOptions,
} from '../../../../shared/warming/warm-target.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';

/** Only a rest is a wait here: it is noted, and ends when the test says so. */
vi.mock('node:timers/promises', async (importOriginal) => ({
  ...(await importOriginal<typeof import('node:timers/promises')>()),
  setTimeout: vi.fn(),
}));

/** And nothing is tried again: what is loaded twice is not held back. */
vi.mock('../../../../shared/warming/retry.ts', async (importOriginal) => {
  const { retry, WARMUP_RETRY } = await importOriginal<typeof Retry>();
  return {
    retry: (...[name, operation, signal]: Parameters<typeof retry>) =>
      retry(name, operation, signal, { ...WARMUP_RETRY, timeoutMs: PATIENCE_MS }),
  };
});

/** Of everything that has a time limit: a bound against hanging. */
const PATIENCE_MS = 60_000;
const USUAL_MS = 25;
const BATCH = 10;
const CONNECTIONS_OF_OTHERS = `
SELECT count(*)::int AS count FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`;

let servers: IsolatedServers;
let database: Database;
let observer: Database;
let redis: GuardedRedis;
/** Of each statement that was begun, how many were under way then, this one included. */
let underWay: number[];
/** How long Postgres took for them, as the caches told. */
let toldMs: number[];
/** All that was begun: a run that is told to end leaves it behind. */
let begun: Promise<unknown>[];

beforeAll(async () => {
  servers = await isolatedServers();
  // More than a warm-up may take: what holds it back is its own doing.
  database = new Database(servers.databaseUrl, {
    connectionsMax: 8,
    statementTimeoutMs: PATIENCE_MS,
    connectTimeoutMs: PATIENCE_MS,
  });
  observer = new Database(servers.databaseUrl, { connectionsMax: 1 });
  redis = new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: PATIENCE_MS });
});
afterAll(async () => {
  redis.close();
  await Promise.all([database.close(), observer.close()]);
  await servers.dispose();
});
beforeEach(async () => {
  underWay = [];
  toldMs = [];
  begun = [];
  vi.mocked(sleep).mockReset().mockResolvedValue(undefined);
  await redis.run((client) => client.flushdb());
});

afterEach(() => Promise.allSettled(begun));

const restsMs = () => vi.mocked(sleep).mock.calls.map(([restMs]) => restMs);

type Options = Partial<WarmTargetOptions> & {
  /** How long the loads before this one and from it on are said to take; the machine's own speed does not matter. */
  readonly loadMs?: (loadsBefore: number) => number;
  readonly onLoad?: () => Promise<void>;
};

/** So many statements, of ten keys each. */
async function start(
  statements: number,
  { loadMs = () => USUAL_MS, onLoad, signal = new AbortController().signal, ...rest }: Options = {},
): Promise<WarmedTarget> {
  let count = 0;
  const watched: Dataset<number> = {
    ...users,
    warmIdsMax: statements * BATCH,
    warmBatchSize: BATCH,
    async load(from, ids) {
      underWay.push(++count);
      await onLoad?.();
      return users.load(from, ids).finally(() => count--);
    },
  };
  const registered = { users: watched };
  const [target] = warmTargetsOf(redis, database, openCaches(redis, database, registered), registered);
  const options = { signal, isUrgent: true, evictions: new EvictionWatch(redis), ...rest };
  const warming = new TargetWarming(saying(target as WarmTarget, loadMs), options);
  await warming.warm();
  return warming.confirm();
}

/** The same target, whose loads are said to take as long as the test wants. */
function saying(target: WarmTarget, loadMs: (loadsBefore: number) => number): WarmTarget {
  const say = (batch: WarmBatch): WarmBatch => ({
    ...batch,
    warm(signal, onLoaded) {
      const warmed = batch.warm(signal, (tookMs) => {
        toldMs.push(tookMs);
        onLoaded(loadMs(toldMs.length - 1));
      });
      begun.push(warmed);
      return warmed;
    },
  });
  const plan = async () => {
    const planned = await target.plan();
    return { ...planned, batches: planned.batches.map(say) };
  };
  return { ...target, plan };
}

it('a statement that takes twice as long halves what is under way, after the second one that does', async () => {
  const slowFrom = 20;
  const loadMs = (before: number) => (before < slowFrom ? USUAL_MS : 2 * USUAL_MS);
  const { report } = await start(60, { loadMs });
  expect(Math.max(...underWay.slice(0, slowFrom))).toBe(2);
  // The third one has begun when the second slow one ends.
  expect(new Set(underWay.slice(slowFrom + 3))).toEqual(new Set([1]));
  expect(report).toMatchObject({ status: 'success', planned: 600, warmed: 600 });
});

it('the database is worked harder again when it has recovered, after the second statement that is quick', async () => {
  const [slowFrom, slowUntil] = [10, 20];
  const loadMs = (before: number) => (before >= slowFrom && before < slowUntil ? 3 * USUAL_MS : USUAL_MS);
  const { report } = await start(40, { loadMs });
  expect(new Set(underWay.slice(slowFrom + 3, slowUntil + 3))).toEqual(new Set([1]));
  expect(Math.max(...underWay.slice(slowUntil + 3))).toBe(2);
  expect(report.status).toBe('success');
});

it('a warm-up has two connections at most', async () => {
  expect((await start(30)).report.status).toBe('success');
  expect(Math.max(...underWay)).toBe(2);
  // None is closed before its pool is: those that were opened are there still.
  expect(await observer.query(CONNECTIONS_OF_OTHERS)).toEqual([{ count: 2 }]);
});

it('what it goes by is how long the database took, and nothing else', async () => {
  const onLoad = () => new Promise<void>((resolve) => setTimeout(resolve, 20));
  await start(4, { onLoad });
  expect(toldMs).toHaveLength(4);
  expect(Math.min(...toldMs)).toBeGreaterThanOrEqual(19);
});

it('a database that takes eight times as long rests three times as long after each statement', async () => {
  await start(20, { loadMs: (before) => (before < 10 ? USUAL_MS : 8 * USUAL_MS) });
  expect(restsMs().slice(-7)).toEqual(new Array(7).fill(3 * 8 * USUAL_MS));
});

it('an end of the run does not wait for a rest', async () => {
  const end = new AbortController();
  const resting = Promise.withResolvers<void>();
  // One that lasts for ever, unless it is told to end.
  vi.mocked(sleep).mockImplementation((_, __, { signal } = {}) => {
    resting.resolve();
    return new Promise((_resolve, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason as Error)),
    );
  });
  // Without hurry one rests at once, and nothing else is under way that could end the run.
  const warming = start(30, { isUrgent: false, signal: end.signal });
  await resting.promise;
  end.abort(new Error('enough'));
  const { report, unfinishedKeys } = await warming;
  expect(report.planned).toBe(300);
  expect(report.status).not.toBe('success');
  expect(underWay).toHaveLength(1);
  expect(unfinishedKeys.length).toBe(report.failed);
});

it('without hurry there is one statement at a time, and a tenth of a second of rest after each', async () => {
  const { report } = await start(20, { isUrgent: false, loadMs: () => 2 });
  expect(new Set(underWay)).toEqual(new Set([1]));
  expect(restsMs()).toEqual(new Array(20).fill(100));
  expect(report.status).toBe('success');
});
