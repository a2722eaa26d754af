/** What a miss costs, and whose it is: where misses are expected, one command reads an entry or takes the lease to load it. */
import { Redis } from 'ioredis';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import {
  type IsolatedServers,
  isolatedServers,
  type OwnRedis,
  startOwnRedis,
} from '../../../support/servers.ts';
import { letPass, moveRedisAlong, stopClock } from '../../../support/virtual-clock.ts';

const PATIENT = { ...REQUEST_GUARD, timeoutMs: 5_000 };

let servers: IsolatedServers;
/** Others' commands would be counted too, and a limit would be theirs. */
let ownRedis: OwnRedis;
let database: Database;
let redis: Redis;

beforeAll(async () => {
  [servers, ownRedis] = await Promise.all([isolatedServers(), startOwnRedis()]);
  database = closedAtEnd(new Database(servers.databaseUrl));
  redis = closedAtEnd(new Redis(ownRedis.url));
});
beforeEach(() => redis.flushdb());
afterEach(() => void vi.useRealTimers());

type Container = {
  readonly guard: GuardedRedis;
  readonly cache: TieredCache<number>;
  /** The ids of each load. */
  readonly loads: number[][];
  entryKey(id: number): string;
};

/** `duringLoad` is called before the row is read. */
function openContainer(duringLoad: (ids: readonly number[]) => Promise<void> = async () => {}): Container {
  const guard = closedAtEnd(new GuardedRedis(ownRedis.url, PATIENT));
  const loads: number[][] = [];
  const load = async (ids: readonly number[]) => {
    loads.push([...ids]);
    await duringLoad(ids);
    return users.load(database, ids);
  };
  const cache = new TieredCache({ ...users, load }, guard);
  return { guard, cache, loads, entryKey: (id) => cache.entryKeys([String(id)])[0] as string };
}

/** Some hits, after which it expects more. */
async function expectingHits(container: Container): Promise<Container> {
  const ids = Array.from({ length: 50 }, (_, index) => 800 + index);
  await openContainer().cache.getMany(ids);
  await container.cache.getMany(ids);
  return container;
}

/** Neither a generation check nor a renewal is due, however slow the machine is. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'], now: Date.now() });
}

/** How often Redis ran each command meanwhile; what scripts call counts too. */
async function commandsDuring(work: () => Promise<unknown>): Promise<Record<string, number>> {
  await redis.config('RESETSTAT');
  await work();
  const stats = await redis.info('commandstats');
  const counts: Record<string, number> = {};
  for (const [, command = '', calls] of stats.matchAll(/^cmdstat_(\w+)\S*:calls=(\d+)/gm)) {
    // A client sends a script's text the first time.
    const name = command === 'evalsha' ? 'eval' : command;
    if (name !== 'config' && name !== 'info') counts[name] = (counts[name] ?? 0) + Number(calls);
  }
  return counts;
}

describe('a miss', () => {
  it('where misses are expected takes two commands: one reads or takes the lease, one stores in its place', async () => {
    const { cache } = openContainer();
    stopTime();
    await cache.checkGeneration();
    const commands = await commandsDuring(async () => {
      for (const id of [1, 2, 3]) await cache.get(id);
    });
    // All but three of the SETs is what the script does.
    expect(commands).toEqual({ set: 6, eval: 3, time: 3, zmscore: 3, get: 3 });
  });

  it('where hits are expected costs hits one MGET, and itself one command more', async () => {
    const { cache } = await expectingHits(openContainer());
    stopTime();
    await cache.checkGeneration();
    const commands = await commandsDuring(() => cache.get(4));
    expect(commands).toEqual({ mget: 1, set: 2, eval: 1, time: 1, zmscore: 1, get: 1 });
  });

  it('of ten containers at once is loaded once, whatever each of them expects', async () => {
    const containers = Array.from({ length: 10 }, () => openContainer(() => redis.ping().then(() => {})));
    for (const container of containers.slice(0, 5)) await expectingHits(container);
    const reads = await Promise.all(containers.map(({ cache }) => cache.get(5)));
    expect(new Set(reads.map(({ json }) => json)).size).toBe(1);
    expect(containers.flatMap(({ loads }) => loads)).toEqual([[5]]);
  });

  it('of many readers in one turn is loaded once, and leaves no lease', async () => {
    const { cache, loads, entryKey } = openContainer();
    const reads = await Promise.all([6, 6, 7, 6, 7].map((id) => cache.get(id)));
    expect(reads.map(({ layer }) => layer)).toEqual(['miss', 'miss', 'miss', 'miss', 'miss']);
    expect(loads.flat().toSorted()).toEqual([6, 7]);
    expect((await redis.mget(entryKey(6), entryKey(7))).map((text) => text?.charAt(0))).toEqual(['v', 'v']);
  });

  it('among several is loaded with the others that are, once for two containers', async () => {
    const [one, other] = [openContainer(), openContainer()];
    const ids = [11, 12, 13];
    const reads = await Promise.all([one, other].map(({ cache }) => cache.getMany(ids)));
    expect(new Set(reads.map((some) => some.map(({ json }) => json).join())).size).toBe(1);
    expect([...one.loads, ...other.loads].flat().toSorted((a, b) => a - b)).toEqual(ids);
  });
});

describe('a lease in the place of an entry', () => {
  it('is nothing to who reads several, and is waited for', async () => {
    const { cache, entryKey, loads } = openContainer();
    await cache.checkGeneration();
    await redis.set(entryKey(20), 'l:somebody', 'PX', 100);
    expect((await cache.getMany([20, 21])).map(({ layer }) => layer)).toEqual(['miss', 'miss']);
    expect(loads).toEqual([[21], [20]]);
    expect(cache.counts.corrupt).toBe(0);
  });

  it('is given back where a clear was noticed with it: who has not heard of that would wait for it', async () => {
    const [one, other] = [openContainer(), openContainer()];
    stopTime();
    await one.cache.checkGeneration();
    const entryKeys = [30, 31].map(one.entryKey);
    await other.cache.clear();
    vi.setSystemTime(Date.now() + 1_000);
    await Promise.all([30, 31].map((id) => one.cache.get(id)));
    expect(await redis.mget(entryKeys)).toEqual([null, null]);
  });

  it('is replaced by whoever stores: a value, or a tombstone', async () => {
    const { cache, entryKey } = openContainer();
    await cache.checkGeneration();
    for (const id of [22, 23]) await redis.set(entryKey(id), 'l:somebody', 'PX', 10_000);
    await cache.warm([22]);
    await cache.invalidate([23], await database.nowUs());
    expect((await redis.mget(entryKey(22), entryKey(23))).map((text) => text?.charAt(0))).toEqual(['v', 't']);
  });

  it('is given back when the load fails', async () => {
    const container = openContainer(() => Promise.reject(new Error('No row today.')));
    await expect(container.cache.get(24)).rejects.toThrow('No row today.');
    expect(await redis.get(container.entryKey(24))).toBeNull();
  });

  it('is given back when nothing is stored, as of what does not exist at its first request', async () => {
    const { cache, entryKey } = openContainer();
    expect(await cache.get(7_777_777)).toMatchObject({ json: null });
    expect(await redis.get(entryKey(7_777_777))).toBeNull();
  });

  it('is given back when memory has the answer after all', async () => {
    stopClock();
    const container = openContainer();
    await moveRedisAlong(container.guard);
    const { cache, entryKey } = container;
    await cache.get(25);
    await redis.del(entryKey(25));
    // A generation check is due, which goes with the read.
    await letPass(600);
    expect(await cache.get(25)).toMatchObject({ layer: 'l1' });
    expect(await redis.get(entryKey(25))).toBeNull();
  });

  it('without an end, put there by hand, is waited for once', async () => {
    const { cache, entryKey } = openContainer();
    await cache.checkGeneration();
    await redis.set(entryKey(26), 'l:by hand');
    expect(await cache.get(26)).toMatchObject({ layer: 'miss' });
    expect(await redis.pttl(entryKey(26))).not.toBe(-1);
  });

  it('is not what somebody else stores over: what was overtaken by an invalidation whose tombstone is gone stays out', async () => {
    let takenOver = false;
    const reader: Container = openContainer(async () => {});
    const load = async (ids: readonly number[]) => {
      const loaded = await users.load(database, ids);
      if (takenOver) return loaded;
      takenOver = true;
      // 1. This load has read the row (old). 2. It is invalidated. 3. A full Redis evicts the tombstone. 4. Another load
      // takes the lease in its place. 5. This load stores: there is something, but no entry, and nothing says that it is newer.
      await openContainer().cache.invalidate([27], await database.nowUs());
      await redis.set(reader.entryKey(27), 'l:another', 'PX', 10_000);
      return loaded;
    };
    const guard = closedAtEnd(new GuardedRedis(ownRedis.url, PATIENT));
    await reader.cache.checkGeneration();
    await new TieredCache({ ...users, load }, guard).get(27);
    expect(await redis.get(reader.entryKey(27))).toBe('l:another');
  });
});

describe('where leases cannot be had in place', () => {
  it('values of another type cost themselves a load, and their neighbours nothing', async () => {
    const { cache, entryKey, loads } = openContainer();
    await redis.rpush(entryKey(30), 'not', 'ours');
    const reads = await Promise.all([30, 31].map((id) => cache.get(id)));
    expect(reads.map(({ json }) => JSON.parse(json ?? '').id)).toEqual([30, 31]);
    expect(loads.flat().toSorted()).toEqual([30, 31]);
    expect(await redis.type(entryKey(30))).toBe('string');
  });

  it('a full Redis is read from', async () => {
    const reader = openContainer();
    await openContainer().cache.get(32);
    await redis.config('SET', 'maxmemory', '1');
    onTestFinished(async () => {
      await redis.config('SET', 'maxmemory', '0');
    });
    expect(await reader.cache.get(32)).toMatchObject({ layer: 'l2' });
    expect(await reader.cache.get(33)).toMatchObject({ layer: 'miss' });
    expect(await redis.exists(keys.lease(reader.entryKey(33)), reader.entryKey(33))).toBe(0);
  });

  it('a full Redis is asked for a lease once a second, and else in one round trip', async () => {
    const reader = openContainer();
    await openContainer().cache.getMany([34, 35, 36]);
    await redis.config('SET', 'maxmemory', '1');
    onTestFinished(async () => {
      await redis.config('SET', 'maxmemory', '0');
    });
    await reader.cache.checkGeneration();
    stopTime();
    // A command that is refused before it runs is not counted as a call.
    expect(await commandsDuring(() => reader.cache.get(34))).toEqual({ set: 0, mget: 1 });
    expect(await commandsDuring(() => reader.cache.get(35))).toEqual({ mget: 1 });
  });
});
