/** A warm-up and a real PostgreSQL that becomes slow under it: how many statements are under way, over which connections, and when the database rests. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { openCaches, warmableDatasetsOf } from '../../../../shared/caches.ts';
import type { Dataset } from '../../../../shared/datasets/dataset.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../../../shared/warming/dataset-warmer.ts';
import {
  DatasetWarmer,
  type DatasetWarmerOptions,
  type WarmedDataset,
} from '../../../../shared/warming/dataset-warmer.ts';
import { EvictionWatch } from '../../../../shared/warming/eviction-watch.ts';
import type { WarmBatch } from '../../../../shared/warming/plan.ts';
import type * as Retry from '../../../../shared/warming/retry.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { isolatedServers } from '../../../support/servers.ts';

/** Only a rest is a wait here: it is noted, and ends when the test says so. */
vi.mock('node:timers/promises', async (importOriginal) => ({
  ...(await importOriginal<typeof import('node:timers/promises')>()),
  setTimeout: vi.fn(),
}));

/** What is loaded twice is not held back, and tried again at once. */
vi.mock('../../../../shared/warming/retry.ts', async (importOriginal) => {
  const { retry, WARMUP_RETRY } = await importOriginal<typeof Retry>();
  return {
    retry: (...[name, operation, signal]: Parameters<typeof retry>) =>
      retry(name, operation, signal, {
        timeoutMs: PATIENCE_MS,
        delaysMs: WARMUP_RETRY.delaysMs.map(() => 0),
        jitter: 0,
      }),
  };
});

/** Of everything that has a time limit: a bound against hanging. */
const PATIENCE_MS = 60_000;
const USUAL_MS = 25;
const BATCH = 10;
const CONNECTIONS_OF_OTHERS = `
SELECT count(*)::int AS count FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`;

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
  const servers = await isolatedServers();
  // More than a warm-up may take: what holds it back is its own doing.
  database = closedAtEnd(
    new Database(servers.databaseUrl, {
      connectionsMax: 8,
      statementTimeoutMs: PATIENCE_MS,
      connectTimeoutMs: PATIENCE_MS,
    }),
  );
  observer = closedAtEnd(new Database(servers.databaseUrl, { connectionsMax: 1 }));
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: PATIENCE_MS }));
});
beforeEach(async () => {
  underWay = [];
  toldMs = [];
  begun = [];
  vi.mocked(sleep).mockReset().mockResolvedValue(undefined);
  await redis.run((client) => client.flushdb());
});

afterEach(() => Promise.allSettled(begun));

const restsMs = () => vi.mocked(sleep).mock.calls.map(([restMs]) => restMs as number);

type Options = Partial<DatasetWarmerOptions> & {
  /** How long the loads before this one and from it on are said to take; the machine's own speed does not matter. */
  readonly loadMs?: (loadsBefore: number) => number;
  readonly onLoad?: () => Promise<void>;
};

/** So many statements, of ten keys each. */
async function start(
  statements: number,
  { loadMs = () => USUAL_MS, onLoad, signal = new AbortController().signal, ...rest }: Options = {},
): Promise<WarmedDataset> {
  let count = 0;
  const watched: Dataset<number> = {
    ...users,
    warmIdsMax: statements * BATCH,
    warmBatchSize: BATCH,
    async load(from, ids) {
      underWay.push(++count);
      const load = async () => {
        await onLoad?.();
        return users.load(from, ids);
      };
      return load().finally(() => count--);
    },
  };
  const registered = { users: watched };
  const [target] = warmableDatasetsOf(redis, database, openCaches(redis, database, registered), registered);
  const options = { signal, isUrgent: true, evictions: new EvictionWatch(redis), ...rest };
  const warming = new DatasetWarmer(saying(target as WarmableDataset, loadMs), options);
  await warming.warmFirst();
  while (await warming.warmMore());
  return warming.confirm();
}

/** The same target, whose loads are said to take as long as the test wants. */
function saying(target: WarmableDataset, loadMs: (loadsBefore: number) => number): WarmableDataset {
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
    return Object.assign(planned, { batches: planned.batches.map(say) });
  };
  return { ...target, plan };
}

/** So long that a rest is as long as any. */
const LONG_MS = 10_000;

it('one statement at a time, and after each a rest as long as it took and what was stored before it', async () => {
  const { report } = await start(20, { loadMs: () => LONG_MS });
  expect(new Set(underWay)).toEqual(new Set([1]));
  expect(restsMs()).toEqual(new Array(20).fill(1_000));
  expect(report.status).toBe('success');
});

it('a store is under way beside the next statement, and no rest is cut short by one', async () => {
  await start(20);
  expect(Math.min(...restsMs())).toBeGreaterThanOrEqual(USUAL_MS);
});

it('a batch that fails leaves the others its turn until it is tried again', async () => {
  const failOnce = async () => {
    if (underWay.length === 1) throw new Error('once');
  };
  const { report } = await start(5, { onLoad: failOnce });
  expect(report).toMatchObject({ status: 'success', planned: 50, warmed: 50 });
  expect(underWay).toHaveLength(6);
  expect(restsMs()).toHaveLength(5);
});

it('a warm-up has one connection, as long as nothing is tried again', async () => {
  expect((await start(30)).report.status).toBe('success');
  // None is closed before its pool is: those that were opened are there still.
  expect(await observer.query(CONNECTIONS_OF_OTHERS)).toEqual([{ count: 1 }]);
});

it('what it goes by is how long the database took, and nothing else', async () => {
  const onLoad = () => new Promise<void>((resolve) => setTimeout(resolve, 20));
  await start(4, { onLoad });
  expect(toldMs).toHaveLength(4);
  expect(Math.min(...toldMs)).toBeGreaterThanOrEqual(19);
});

it('a database that takes eight times as long is given fifteen times as long after each statement', async () => {
  await start(20, { loadMs: (before) => (before < 10 ? USUAL_MS : 8 * USUAL_MS) });
  expect(Math.min(...restsMs().slice(-7))).toBeGreaterThanOrEqual(Math.min(1_000, 15 * 8 * USUAL_MS));
});

it('where nothing succeeds a few batches are tried to the end, and the many others not at all', async () => {
  const onLoad = () => Promise.reject(new Error('column "bio" does not exist'));
  const { report } = await start(100, { onLoad });
  expect(report).toMatchObject({ status: 'failed', planned: 1_000, failed: 1_000 });
  expect(underWay.length).toBeLessThanOrEqual(4 * 11); // eight, and those beside the last of them
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
  const { report, isUnfinished } = await warming;
  expect(report.planned).toBe(300);
  expect(report.status).not.toBe('success');
  expect(underWay).toHaveLength(1);
  expect(isUnfinished).toBe(true);
});

it('without hurry there is one statement at a time, and a tenth of a second of rest after each', async () => {
  const { report } = await start(20, { isUrgent: false, loadMs: () => 2 });
  expect(new Set(underWay)).toEqual(new Set([1]));
  expect(restsMs()).toHaveLength(20);
  expect(Math.min(...restsMs())).toBe(100); // longer ones are those of a busy machine
  expect(report.status).toBe('success');
});
