/** How much is warmed of a table that is larger than what is warmed at once: as long as it is read and has room; and over several runs. */
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openCaches, warmableDatasetsOf } from '../../../../shared/caches.ts';
import type { Dataset } from '../../../../shared/datasets/dataset.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { RedisUnavailableError } from '../../../../shared/errors.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../../../shared/warming/dataset-warmer.ts';
import { EvictionWatch } from '../../../../shared/warming/eviction-watch.ts';
import type { WarmPlan } from '../../../../shared/warming/plan.ts';
import { addReads } from '../../../../shared/warming/popularity.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';
import { warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { isolatedServers, type OwnRedis, startOwnRedis } from '../../../support/servers.ts';

/** So many are warmed whatever they are worth. */
const FIRST = 20_000;
const BATCH = 1_000;
const MINUTE_MS = 60_000;

let database: Database;
let server: OwnRedis;
let redis: GuardedRedis;

beforeAll(async () => {
  const servers = await isolatedServers({ seeded: false });
  database = closedAtEnd(new Database(servers.databaseUrl));
});
beforeEach(async () => {
  await database.query('DELETE FROM prewarm_popularity');
  server = await startOwnRedis();
  redis = closedAtEnd(new GuardedRedis(server.url, { ...WARMER_GUARD, timeoutMs: 30_000 }));
});

const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);

/** Rows of a table that has every id. */
function rowsOf(rows: Partial<Dataset<number>> = {}): Dataset<number> {
  return {
    ...users,
    warmBatchSize: BATCH,
    load: async (_, ids) => ({ readAtUs: Date.now() * 1_000, values: ids.map((id) => `{"id":${id}}`) }),
    ...rows,
  };
}

/** Each of them so often. */
function read(ids: readonly number[], times: number): Promise<void> {
  return addReads(redis, users.name, new Map(ids.map((id) => [String(id), times])));
}

function targetOf(dataset: Dataset<number>, client = redis): WarmableDataset {
  const registered = { users: dataset };
  return warmableDatasetsOf(
    client,
    database,
    openCaches(client, database, registered),
    registered,
  )[0] as WarmableDataset;
}

function run(dataset: Dataset<number>, stop?: AbortController): Promise<WarmupReport> {
  return runTargets([targetOf(dataset)], stop);
}

function runTargets(
  datasets: readonly WarmableDataset[],
  stop = new AbortController(),
): Promise<WarmupReport> {
  return warmUp({
    traceId: crypto.randomUUID(),
    trigger: 'manual',
    redis,
    connect: () => database.connect(),
    datasets,
    signal: stop.signal,
    recordMetrics: async () => {},
  });
}

/** In the plan's order. */
async function allKeysOf(plan: WarmPlan): Promise<string[]> {
  const planned: string[] = [];
  for (let part = await Promise.resolve(plan as Pick<WarmPlan, 'batches'> | undefined); part; ) {
    planned.push(...part.batches.flatMap((batch) => batch.keys));
    part = await plan.more();
  }
  return planned;
}

const planned = async (dataset: Dataset<number>) => allKeysOf(await targetOf(dataset).plan());

describe('what is warmed', () => {
  it('is all that people read, the most read first, however flat their reads are', async () => {
    await read(range(1, 30_000), 1);
    await read(range(30_001, 15_000), 3);
    const chosen = await planned(rowsOf());
    expect(chosen).toHaveLength(45_000);
    expect(new Set(chosen)).toHaveProperty('size', 45_000);
    expect(new Set(chosen.slice(0, 15_000))).toEqual(new Set(range(30_001, 15_000).map(String)));
  });

  it('is known of a Redis that lost everything, all of it', async () => {
    await read(range(1, 45_000), 2);
    expect(await run(rowsOf())).toMatchObject({ status: 'success', warmed: 45_000 });
    await redis.run((client) => client.flushall());
    expect(new Set(await planned(rowsOf()))).toEqual(new Set(range(1, 45_000).map(String)));
  });

  it('is the first of each dataset before more of any', async () => {
    await read(range(1, FIRST + BATCH), 1);
    await addReads(redis, 'others', new Map([['1', 1]]));
    const loads: string[] = [];
    const { load } = rowsOf();
    const named = (name: string): Dataset<number> => ({
      ...rowsOf({ name }),
      load: (from, ids) => {
        loads.push(name);
        return load(from, ids);
      },
    });
    const registered = { users: named(users.name), others: named('others') };
    const caches = openCaches(redis, database, registered);
    const report = await runTargets(warmableDatasetsOf(redis, database, caches, registered));
    expect(report).toMatchObject({ status: 'success', warmed: FIRST + BATCH + 1 });
    expect(loads.slice(-2)).toEqual(['others', users.name]);
  });

  it('is known of a Redis that lost everything, also when the run that puts it back is cut', async () => {
    await read(range(1, 45_000), 2);
    expect(await run(rowsOf())).toMatchObject({ status: 'success', warmed: 45_000 });
    await redis.run((client) => client.flushall());
    const cut = await targetOf(rowsOf()).plan();
    // It knows what it has not put back yet.
    expect(cut.batchesMax).toBeGreaterThanOrEqual(45);
    await cut.more();
    expect(new Set(await planned(rowsOf()))).toEqual(new Set(range(1, 45_000).map(String)));
    // All is back, each once.
    const weights = await redis.run((client) =>
      client.zrange(keys.popularity(users.name), '0', '3', 'WITHSCORES'),
    );
    await planned(rowsOf());
    expect(
      await redis.run((client) => client.zrange(keys.popularity(users.name), '0', '3', 'WITHSCORES')),
    ).toEqual(weights);
  });

  it('is known of a Redis that lost everything, also when it does so again while that is put back', async () => {
    const KEYS = 1_000;
    await read(range(1, KEYS), 2);
    await (await targetOf(rowsOf()).plan()).save();
    for (let command = 1; command <= 14; command++) {
      await redis.run((client) => client.flushall());
      const flaky = closedAtEnd(new GuardedRedis(server.url, { ...WARMER_GUARD, timeoutMs: 30_000 }));
      const send = flaky.run.bind(flaky);
      let sent = 0;
      vi.spyOn(flaky, 'run').mockImplementation(async (operation) => {
        if (++sent === command) await redis.run((client) => client.flushall());
        return send(operation);
      });
      await targetOf(rowsOf(), flaky).plan();
      expect(new Set(await planned(rowsOf())), `lost before command ${command}`).toHaveProperty('size', KEYS);
    }
  });

  it('is no more than the first of it when all the rest together is hardly read', async () => {
    await read(range(1, FIRST), 1_000);
    await read(range(FIRST + 1, 15_000), 1);
    expect(await planned(rowsOf())).toHaveLength(FIRST);
    await read(range(FIRST + 1, 15_000), 2); // three reads each are more than a thousandth
    expect(await planned(rowsOf())).toHaveLength(FIRST + 15_000);
  });

  it('is no more than the dataset says', async () => {
    await read(range(1, 45_000), 1);
    expect(await planned(rowsOf({ warmIdsMax: 33_000 }))).toHaveLength(33_000);
  });

  it('is a guess of the database for the first of it only', async () => {
    const asked: number[] = [];
    const rank = async (_: Database, limit: number) => {
      asked.push(limit);
      return range(1, limit);
    };
    await read(range(FIRST + 1, 3), 1);
    const chosen = await planned(rowsOf({ rank }));
    expect(chosen).toHaveLength(FIRST);
    expect(chosen.slice(0, 3).sort()).toEqual(range(FIRST + 1, 3).map(String));
    expect(asked).toEqual([FIRST]);
  });

  it('leaves half of Redis to others, and evicts nothing for what is read less', async () => {
    await redis.run((client) =>
      client.config('SET', 'maxmemory', '96mb', 'maxmemory-policy', 'volatile-lru'),
    );
    await read(range(1, 40_000), 2);
    await read(range(40_001, 20_000), 1);
    const json = JSON.stringify({ text: 'x'.repeat(1_200) });
    const load: Dataset<number>['load'] = async (_, ids) => ({
      readAtUs: Date.now() * 1_000,
      values: ids.map(() => json),
    });
    const report = await run(rowsOf({ load }));
    expect(report).toMatchObject({ status: 'success', planned: 40_000, warmed: 40_000 });
    expect(await redis.run((client) => client.info('stats'))).toContain('evicted_keys:0');
  });
});

describe('a run that is cut short', () => {
  const KEYS = 45_000;

  /** Stops the run in its `at`th load; tells what was loaded until then. */
  async function runUntil(at: number, rows: Partial<Dataset<number>> = {}) {
    const loaded: number[] = [];
    const stop = new AbortController();
    const load: Dataset<number>['load'] = async (_, ids) => {
      if (loaded.push(...ids) === at * BATCH) stop.abort(new Error('told to end'));
      return { readAtUs: Date.now() * 1_000, values: ids.map((id) => `{"id":${id}}`) };
    };
    return { report: await run(rowsOf({ load, ...rows }), stop), loaded };
  }

  const untilDone = () => runUntil(Number.POSITIVE_INFINITY);

  it('is carried on by the next one, and both load each key once', async () => {
    await read(range(1, KEYS), 1);
    const first = await runUntil(30);
    expect(first.report).toMatchObject({ status: 'partial', aborted: 'told to end' });
    const next = await untilDone();
    expect(next.report).toMatchObject({ status: 'success', planned: KEYS, failed: 0 });
    expect(next.report.warmed + next.report.skipped).toBe(KEYS);
    // Of the last loads of the first one it is not known whether they were stored: two, beside each other.
    expect(first.loaded.length + next.loaded.length).toBeLessThanOrEqual(KEYS + 2 * BATCH);
    expect(new Set([...first.loaded, ...next.loaded])).toHaveProperty('size', KEYS);
    // All is done: the next one begins anew.
    expect((await untilDone()).loaded).toHaveLength(KEYS);
  });

  it('leaves next to nothing in Redis, however much it left', async () => {
    await read(range(1, KEYS), 1);
    await runUntil(1);
    expect(await redis.run((client) => client.strlen(keys.warmupUnfinished))).toBeLessThan(100);
  });

  it('is not carried on when what it warmed would not outlive the run after the next one', async () => {
    await read(range(1, FIRST), 1);
    await runUntil(10);
    const longAgo = JSON.stringify({ [users.name]: Date.now() - 40 * MINUTE_MS });
    await redis.run((client) => client.set(keys.warmupUnfinished, longAgo));
    expect((await untilDone()).loaded).toHaveLength(FIRST);
  });

  it('and cleared after it was found is warmed again', async () => {
    await read(range(1, FIRST), 1);
    await runUntil(10);
    const caches = openCaches(redis, database);
    let isCleared = false;
    const load: Dataset<number>['load'] = async (_, ids) => {
      if (!isCleared) await caches.users.clear();
      isCleared = true;
      return { readAtUs: Date.now() * 1_000, values: ids.map((id) => `{"id":${id}}`) };
    };
    const report = await run(rowsOf({ load }));
    expect(report).toMatchObject({ status: 'success', planned: FIRST, warmed: FIRST, skipped: 0 });
  });

  it('is carried on whatever else is in the place of an entry', async () => {
    await read(range(1, FIRST), 1);
    await runUntil(10);
    const cache = openCaches(redis, database).users;
    await cache.checkGeneration();
    const [entryKey = ''] = cache.entryKeys(['1']);
    await redis.run((client) => client.del(entryKey));
    await redis.run((client) => client.rpush(entryKey, 'not', 'ours'));
    expect((await untilDone()).report).toMatchObject({ status: 'success', planned: FIRST, failed: 0 });
  });

  it('and cleared while it is carried on is warmed again, also what was found', async () => {
    await read(range(1, FIRST), 1);
    await runUntil(10);
    const registered = { users: rowsOf() };
    const { users: cache } = openCaches(redis, database, registered);
    // One key of a batch that is warm is gone, so that it is warmed in part.
    await cache.checkGeneration();
    await redis.run((client) => client.del(cache.entryKeys([String(FIRST)])[0] as string));
    const warm = cache.warm.bind(cache);
    let isCleared = false;
    cache.warm = async (...asked) => {
      if (!isCleared) await openCaches(redis, database).users.clear();
      isCleared = true;
      return warm(...asked);
    };
    const target = warmableDatasetsOf(redis, database, { users: cache }, registered)[0] as WarmableDataset;
    expect(await runTargets([target])).toMatchObject({ status: 'success', planned: FIRST, failed: 0 });
    expect(await target.missing(range(1, FIRST).map(String))).toEqual([]);
  });
});

it('what was stored is looked up no longer than the run lasts', async () => {
  const stop = new AbortController();
  const target = targetOf(rowsOf());
  const missing: WarmableDataset['missing'] = (some, signal) => {
    stop.abort(new Error('told to end'));
    return target.missing(some, signal);
  };
  await read(range(1, BATCH), 1);
  expect(await runTargets([{ ...target, missing }], stop)).toMatchObject({ warmed: BATCH });
  const stats = await redis.run((client) => client.info('commandstats'));
  // A generation check asks for one key.
  expect(Number(/cmdstat_exists:calls=(\d+)/.exec(stats)?.[1])).toBeLessThan(100);
});

it('what could not be looked up is not said to be there', async () => {
  const target = targetOf(rowsOf());
  const missing = () => Promise.reject(new RedisUnavailableError('late'));
  await read(range(1, BATCH), 1);
  const report = await runTargets([{ ...target, missing }]);
  expect(report).toMatchObject({ status: 'partial', warmed: BATCH });
  expect(report.steps.flatMap(({ failures }) => failures)).toContainEqual({ cause: 'late', keys: 0 });
});

describe('a Redis that evicts all the time', () => {
  /** Whether a warm-up takes it for the eviction of what it stored, of which so many are gone. */
  async function seesEviction(gone: number, isStartedAnew = false): Promise<boolean> {
    const watch = new EvictionWatch(redis);
    await redis.run((client) => client.config('SET', 'maxmemory', '4mb', 'maxmemory-policy', 'volatile-lru'));
    if (!isStartedAnew) await watch.begin();
    const text = 'x'.repeat(10_000);
    for (let other = 0; other < 500; other++)
      await redis.run((client) => client.set(`other:${other}`, text, 'EX', 1_000));
    if (isStartedAnew) {
      await watch.begin();
      await redis.run((client) => client.config('RESETSTAT'));
    }
    const target = targetOf(rowsOf());
    const missing = async (some: readonly string[]) => some.slice(0, gone);
    const generation = await target.generation();
    watch.add(
      { ...target, missing },
      { storedKeys: range(1, 200).map(String), absent: 0, newerStored: 0, generation },
    );
    await watch.look();
    return watch.sawEviction;
  }

  it('costs a run nothing when a few of its keys were invalidated meanwhile', async () => {
    expect(await seesEviction(4)).toBe(false);
  });

  it('and is started anew has lost what it held, and evicted none of it', async () => {
    expect(await seesEviction(200, true)).toBe(false);
  });

  it('ends a run when it evicts what that stores', async () => {
    expect(await seesEviction(5)).toBe(true);
  });
});

describe('a Redis that does not answer', () => {
  it('when it is asked for its room costs the rest of the run, and not its report', async () => {
    await read(range(1, 30_000), 1);
    const impatient = closedAtEnd(new GuardedRedis(server.url, { ...WARMER_GUARD, timeoutMs: 100 }));
    await redis.run((client) => client.config('SET', 'maxmemory', '96mb'));
    const target = targetOf(rowsOf(), impatient);
    const bytesOfOne = async (some: readonly string[]) => {
      server.freeze();
      return target.bytesOfOne(some).finally(() => server.thaw());
    };
    const report = await runTargets([{ ...target, bytesOfOne }]);
    expect(report).toMatchObject({ warmed: 30_000 });
  });
});
