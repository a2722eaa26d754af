/** What else may be under our names in Redis: cut short, of another type, without an end. Each is named in the log and mended. */
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { readStatus } from '../../../../functions/admin/status.ts';
import { openCaches } from '../../../../shared/caches.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { log } from '../../../../shared/logger.ts';
import { seriesOf } from '../../../../shared/metrics/definitions.ts';
import { FleetTotals } from '../../../../shared/metrics/fleet-totals.ts';
import { Recorder } from '../../../../shared/metrics/recorder.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { takeLease } from '../../../../shared/redis/lease.ts';
import { lockHolder } from '../../../../shared/warming/lock.ts';
import { addReads } from '../../../../shared/warming/popularity.ts';
import { mostRead } from '../../../../shared/warming/ranking.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { watchCommands } from '../../../support/sent-commands.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { datasetsOf, runWarmUp } from '../../../support/warm-ups.ts';

let servers: IsolatedServers;
let database: Database;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: 10_000 }));
});
beforeEach(async () => {
  await redis.run((client) => client.flushdb());
});

const run = (trigger: 'manual' | 'schedule' = 'manual') =>
  runWarmUp(redis, database, datasetsOf(100, 5), trigger);

/** The keys that errors in the log name. */
function namedKeys(): () => unknown[] {
  const error = vi.spyOn(log, 'error');
  onTestFinished(() => error.mockRestore());
  return () => error.mock.calls.map(([, , fields]) => (fields as { key?: string }).key).filter(Boolean);
}

describe('a warm-up and the status', () => {
  it.each([
    keys.warmupReports,
    keys.warmupManifest,
    keys.warmupUnfinished,
    keys.warmupHotKeysOrder,
    keys.popularity(users.name),
    keys.generation(users.name),
    keys.invalidated(users.name),
    keys.schemaVersions(users.name),
    keys.warmupFence,
    keys.warmupLock,
    keys.metricTotals,
    keys.metricPushFailure,
  ])('go on when %s is of another type', async (key) => {
    await redis.run((client) => client.rpush(key, 'not', 'ours'));
    await readStatus(redis, [users.name]);
    const { report } = await run();
    expect(report).toMatchObject({ status: 'success', warmed: 105 });
    expect(await redis.run((client) => client.type(key))).not.toBe('list');
    expect((await readStatus(redis, [users.name])) as unknown).toMatchObject({
      warmup: { lastReports: [{ status: 'success' }] },
    });
  });

  it('leave out what is no report, name it and remove it', async () => {
    await run();
    const named = namedKeys();
    const [whole = ''] = await redis.run((client) => client.zrevrange(keys.warmupReports, 0, 0));
    for (const text of [whole.slice(0, 40), 'null', '[]', '{"traceId":7}'])
      await redis.run((client) => client.zadd(keys.warmupReports, String(1e15), text));
    expect((await readStatus(redis, [users.name])) as unknown).toMatchObject({
      warmup: { lastReports: [JSON.parse(whole)] },
    });
    expect(named()).toEqual([keys.warmupReports]);
    expect(await redis.run((client) => client.zcard(keys.warmupReports))).toBe(1);
  });

  it('give a lock an end that has none', async () => {
    await redis.run((client) => client.set(keys.warmupLock, 'by hand'));
    const sent = await watchCommands(servers.redisUrl, keys.warmupLock);
    expect((await run('schedule')).report).toMatchObject({ status: 'skipped', holderTraceId: 'by hand' });
    await expect.poll(sent).toContain(`expire ${keys.warmupLock} 30 NX`);
    expect(await redis.run((client) => client.pttl(keys.warmupLock)), 'no end').not.toBe(-1);
  });

  it('leave the end of a lock alone that has one', async () => {
    await redis.run((client) => client.set(keys.warmupLock, 'somebody', 'EX', 3));
    await run('schedule');
    expect(await redis.run((client) => client.pttl(keys.warmupLock))).toBeLessThanOrEqual(3_000);
  });

  it.each(['no number', '99999999999999999999999', '8999999999999999'])(
    'take no notice of an order that is "%s"',
    async (order) => {
      await redis.run((client) => client.set(keys.warmupHotKeysOrder, order));
      await run();
      expect(await redis.run((client) => client.exists(keys.warmupManifest))).toBe(1);
    },
  );
});

describe('leases', () => {
  const isTaken = async (key: string) => !(await takeLease(redis, key, 'me', 50));

  it.each(['a text', 'a list'])(
    'that are %s without an end are given one, and are free after it',
    async (what) => {
      const key = keys.metricPublisher;
      if (what === 'a list') await redis.run((client) => client.rpush(key, 'not', 'ours'));
      else await redis.run((client) => client.set(key, 'by hand'));
      expect(await isTaken(key)).toBe(true);
      await expect.poll(() => isTaken(key), { interval: 20 }).toBe(false);
    },
  );

  it('of an entry that nobody ever releases are waited for once', async () => {
    const caches = openCaches(redis, database);
    // It has a lease under a name of its own where something is in its place.
    await caches.users.invalidate([5], await database.nowUs());
    const [entryKey = ''] = caches.users.entryKeys(['5']);
    const leaseKey = keys.lease(entryKey);
    await redis.run((client) => client.set(leaseKey, 'by hand'));
    expect(await caches.users.get(5)).toMatchObject({ layer: 'miss' });
    expect(await redis.run((client) => client.pttl(leaseKey))).not.toBe(-1);
  });

  it('of the warm-up are given an end by whoever asks for the holder', async () => {
    await redis.run((client) => client.set(keys.warmupLock, 'by hand'));
    expect(await lockHolder(redis)).toBe('by hand');
    expect(await redis.run((client) => client.pttl(keys.warmupLock))).not.toBe(-1);
  });
});

describe('totals and gauges', () => {
  it.each([keys.metricTotals, keys.metricGauges, keys.metricGaugesOrder])(
    'are kept although %s was of another type',
    async (key) => {
      const named = namedKeys();
      await redis.run((client) => client.rpush(key, 'not', 'ours'));
      const recorder = new Recorder();
      recorder.count('cache_misses_total', ['users'], 3);
      const totals = new FleetTotals(redis, recorder);
      await totals.add({ order: 5, values: new Map([[seriesOf('cache_warmup_status', []), 1]]) });
      expect(await totals.read()).toEqual({ 'cache_misses_total|users': '3', 'cache_warmup_status|': '1' });
      expect(named()).toEqual([key]);
    },
  );

  it('of a step that is gone are gone with the first publication that does not know it', async () => {
    const totals = new FleetTotals(redis, new Recorder());
    const warmed = (step: string) => seriesOf('cache_keys_warmed', [step]);
    const others = [seriesOf('cache_warmup_last_success_timestamp_seconds', []), 7] as const;
    await totals.add({ order: 1, values: new Map([[warmed('old'), 1], [warmed('users'), 2], others]) });
    await totals.add({ order: 2, values: new Map([[warmed('users'), 3]]) });
    expect(await totals.read()).toEqual({ 'cache_keys_warmed|users': '3', [others[0]]: '7' });
    await totals.add({ order: 1, values: new Map([[warmed('late'), 9]]) });
    expect(await totals.read()).not.toHaveProperty(warmed('late'));
  });
});

describe('ids that JavaScript cannot hold', () => {
  const TOO_HIGH = '9007199254740993';

  it('are neither ranked nor warmed in the name of another', async () => {
    const own = await isolatedServers();
    const ownDatabase = closedAtEnd(new Database(own.databaseUrl));
    const insert = `INSERT INTO users (id, username, display_name, follower_count)
      VALUES ($1, 'too-high', 'Too High', 2000000000), (-5, 'too-low', 'Too Low', 2000000001)`;
    await ownDatabase.query(insert, [TOO_HIGH]);
    const ranked = await users.rank(ownDatabase, 10);
    expect(ranked).not.toContain(-5);
    expect(ranked.every((id) => Number.isSafeInteger(id))).toBe(true);
    const { userSearch } = await import('../../../../shared/datasets/user-search.ts');
    const { values } = await userSearch.load(ownDatabase, [{ query: 'too ', limit: 20, after: null }]);
    expect(values).toEqual([null]);
  });

  it('that were read are left out', async () => {
    await addReads(redis, users.name, new Map([[TOO_HIGH, 100]]));
    await mostRead(redis, database, users.name);
    const { report } = await run();
    expect(report).toMatchObject({ status: 'success', warmed: 105 });
  });
});

it('users that were deleted are counted apart from what is warm', async () => {
  const gone = Array.from({ length: 30 }, (_, index) => String(800_001 + index));
  await addReads(redis, users.name, new Map(gone.map((id) => [id, 50])));
  const { report } = await run();
  const step = report.steps.find(({ name }) => name === users.warmStep);
  expect(step).toMatchObject({
    status: 'success',
    planned: 100,
    warmed: 70,
    absent: 30,
    skipped: 0,
    failed: 0,
  });
  expect(report).toMatchObject({ planned: 105, warmed: 75, absent: 30 });
});
