/** What an invalidation reaches on a real Redis: every schema version, whatever the database's clock said, and however many there are. */
import { Redis } from 'ioredis';
import type pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CacheRead, TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { openCaches } from '../../../../shared/caches.ts';
import { userSearch } from '../../../../shared/datasets/user-search.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { connectPg, type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { nameOf, renameUser } from '../../../support/user-names.ts';

/** Redis is well here, and a busy machine does not make it look otherwise. */
const PATIENT = { ...REQUEST_GUARD, timeoutMs: 5_000 };
const SECOND_US = 1_000_000;
/** Longer than a container believes its last generation check. */
const NEXT_LOOK_MS = 501;

let servers: IsolatedServers;
let database: Database;
let admin: pg.Client;
let redis: Redis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
  admin = await connectPg(servers.databaseUrl);
  redis = closedAtEnd(new Redis(servers.redisUrl));
});
beforeEach(() => redis.flushdb());

type Container = { readonly cache: TieredCache<number>; readonly guard: GuardedRedis; loads: number };

/** Of a schema version; `aheadUs` is how far the database's clock is ahead when it loads. */
function openContainer(schemaVersion = 1, aheadUs: () => number = () => 0): Container {
  const guard = closedAtEnd(new GuardedRedis(servers.redisUrl, PATIENT));
  const load = async (ids: readonly number[]) => {
    container.loads++;
    const { readAtUs, values } = await users.load(database, ids);
    return { readAtUs: readAtUs + aheadUs(), values };
  };
  const cache = new TieredCache({ ...users, schemaVersion, load }, guard);
  const container = { cache, guard, loads: 0 };
  return container;
}

const rename = (id: number, name: string) => renameUser(admin, id, name);

const nextLook = () => new Promise((resolve) => setTimeout(resolve, NEXT_LOOK_MS));

describe('two schema versions that share a Redis', () => {
  it.each([
    { by: 1, reader: 2 },
    { by: 2, reader: 1 },
  ])(
    'version $reader hears of what version $by invalidated, in memory and in Redis',
    async ({ by, reader }) => {
      await rename(7, 'Before');
      const [one, other] = [openContainer(by), openContainer(reader)];
      expect([await one.cache.get(7), await other.cache.get(7)].map(nameOf)).toEqual(['Before', 'Before']);
      await rename(7, 'After');
      await one.cache.invalidate([7], await database.nowUs());
      await nextLook();
      expect(nameOf(await other.cache.get(7))).toBe('After');
      expect(nameOf(await openContainer(reader).cache.get(7))).toBe('After');
    },
  );

  it('a version that nobody runs any more has heard when it is rolled back to', async () => {
    await rename(8, 'Before');
    await openContainer(1).cache.get(8);
    await rename(8, 'After');
    await openContainer(2).cache.invalidate([8], await database.nowUs());
    expect(nameOf(await openContainer(1).cache.get(8))).toBe('After');
  });

  it('an invalidation takes no more commands for two versions than for one', async () => {
    const one = openContainer(1);
    const commands = async () => {
      const [sent, invalidate] = [spyOnSent(one.guard), () => one.cache.invalidate([9], 1)];
      await invalidate();
      return sent();
    };
    const alone = await commands();
    await openContainer(2).cache.get(9);
    expect(await commands()).toBe(alone);
  });
});

/** How many round trips were begun. */
function spyOnSent(guard: GuardedRedis): () => number {
  let sent = 0;
  const run = guard.run.bind(guard);
  guard.run = (operation) => {
    sent++;
    return run(operation);
  };
  return () => sent;
}

describe('a database whose clock was ahead when a row was read', () => {
  it('an invalidation by the right clock wins, in memory and in Redis', async () => {
    await rename(20, 'Before');
    let aheadUs = 120 * SECOND_US;
    const [reader, other] = [openContainer(1, () => aheadUs), openContainer()];
    expect(nameOf(await reader.cache.get(20))).toBe('Before');
    await other.cache.get(20);
    aheadUs = 0;
    await rename(20, 'After');
    await other.cache.invalidate([20], await database.nowUs());
    expect(nameOf(await other.cache.get(20))).toBe('After');
    await nextLook();
    expect(nameOf(await reader.cache.get(20))).toBe('After');
    expect(nameOf(await openContainer().cache.get(20))).toBe('After');
  });

  it('what is read after it is answered after one load more, which is not repeated for a tombstone it knows', async () => {
    await openContainer(1, () => 120 * SECOND_US).cache.get(21);
    const owner = openContainer();
    await owner.cache.invalidate([21], await database.nowUs());
    const reader = openContainer();
    expect(await reader.cache.get(21)).toMatchObject({ layer: 'miss' });
    expect(reader.loads).toBe(2);
  });
});

describe('a dataset that is made of another', () => {
  const search = { query: 'emma', limit: 20, after: null };
  const open = () => {
    const guard = closedAtEnd(new GuardedRedis(servers.redisUrl, PATIENT));
    return openCaches(guard, database);
  };
  const namesIn = ({ json }: CacheRead) =>
    (JSON.parse(json ?? '') as { items: { displayName: string }[] }).items.map(
      ({ displayName }) => displayName,
    );

  it.each([
    ['an invalidation', (caches: ReturnType<typeof open>, id: number) => invalidateIn(caches, id)],
    ['a clear', (caches: ReturnType<typeof open>) => caches.users.clear()],
  ])('is cleared by %s of that one, for every container', async (_, forget) => {
    const [owner, other] = [open(), open()];
    const found = await owner.userSearch.get(search);
    await other.userSearch.get(search);
    const [{ id }] = (JSON.parse(found.json ?? '') as { items: [{ id: number }] }).items;
    const name = `Emma ${crypto.randomUUID()}`;
    await admin.query('UPDATE users SET display_name = $2 WHERE id = $1', [id, name]);
    await forget(owner, id);
    expect(namesIn(await owner.userSearch.get(search))).toContain(name);
    await nextLook();
    expect(namesIn(await other.userSearch.get(search))).toContain(name);
  });

  async function invalidateIn(caches: ReturnType<typeof open>, id: number): Promise<void> {
    await caches.users.invalidate([id], await database.nowUs());
  }

  it('names one that is registered before it, or cannot be opened', () => {
    const guard = closedAtEnd(new GuardedRedis(servers.redisUrl, PATIENT));
    const registered = { userSearch: { ...userSearch, derivedFrom: ['nobody'] } };
    expect(() => openCaches(guard, database, registered)).toThrow('"user-search" is derived from "nobody"');
  });
});

describe('very many invalidations', () => {
  const IDS = Array.from({ length: 10_000 }, (_, index) => 100_000 + index);

  it('10,000 in a minute clear nothing: the rest stays in memory and in Redis', async () => {
    const [owner, reader] = [openContainer(), openContainer()];
    await reader.cache.get(30);
    const generation = await redis.get(keys.generation(users.name));
    // As those of the last minute, at an even pace, have left it.
    const nowMs = Number((await redis.time())[0]) * 1_000;
    const members = IDS.flatMap((id, index) => [nowMs - 55_000 + index * 5, String(id)]);
    await redis.zadd(keys.invalidated(users.name), ...members);
    await owner.cache.invalidate([31], 1);
    await reader.cache.checkGeneration();
    expect(await redis.zcard(keys.invalidated(users.name))).toBe(IDS.length + 1 + 1); // and its mark
    expect(reader.cache.probe(30)).toMatchObject({ layer: 'l1' });
    expect(await redis.get(keys.generation(users.name))).toBe(generation);
  });

  it('more than a generation check reports cost a container its memory, and nobody what Redis has', async () => {
    const [owner, reader] = [openContainer(), openContainer()];
    await reader.cache.getMany([30, 31]);
    await owner.cache.invalidate([31, ...IDS.slice(0, 1_001)], await database.nowUs());
    await reader.cache.checkGeneration();
    expect(reader.cache.probe(30)).toBeUndefined();
    expect(await reader.cache.get(30)).toMatchObject({ layer: 'l2' });
    expect(await reader.cache.get(31)).toMatchObject({ layer: 'miss' });
  });

  it('whoever looked before the oldest that Redis remembers believes nothing in its memory', async () => {
    const invalidated = keys.invalidated(users.name);
    const reader = openContainer();
    await reader.cache.get(30);
    // As an announcement leaves it that had to forget: the time of the last one that it forgot.
    await redis.zadd(invalidated, Date.now() + 60_000, '');
    await reader.cache.checkGeneration();
    expect(reader.cache.probe(30)).toBeUndefined();
  });

  it('the list has a bound, says from when on it is whole, and cannot be evicted', async () => {
    const list = keys.invalidated('bounded');
    const { guard } = openContainer();
    const announce = (...ids: string[]) =>
      guard.run((client) => client.announceInvalidated(list, 60_000, 3, ...ids));
    await announce('a');
    const [, firstMs] = await redis.zrange(list, '0', '0', 'WITHSCORES');
    await announce('b', 'c');
    await announce('d', 'e');
    expect((await redis.zrange(list, '0', '-1')).filter((id) => id !== '')).toHaveLength(3);
    expect(Number(await redis.zscore(list, ''))).toBeGreaterThanOrEqual(Number(firstMs));
    expect(await redis.ttl(list)).toBe(-1);
  });
});

describe("another program's value under a name of ours is replaced:", () => {
  const spoilt: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['a generation that is no number', () => redis.set(keys.generation('users'), 'none')],
    ['a generation that is a list', () => redis.rpush(keys.generation('users'), 'x')],
    ['a list of the invalidated ids that is a text', () => redis.set(keys.invalidated('users'), 'x')],
    ['schema versions that are a hash', () => redis.hset(keys.schemaVersions('users'), 'x', '1')],
  ];

  it.each(spoilt)('%s', async (_, spoil) => {
    const container = openContainer();
    await container.cache.get(40);
    await redis.del(keys.generation('users'), keys.invalidated('users'), keys.schemaVersions('users'));
    await spoil();
    expect(await container.cache.checkGeneration()).toBe(true);
    expect(nameOf(await container.cache.get(40))).toEqual(expect.any(String));
    expect(await container.cache.clear()).toMatchObject({ generation: expect.stringMatching(/^\d+$/) });
    await container.cache.invalidate([40], await database.nowUs());
    await container.cache.get(40);
    expect(await openContainer().cache.get(40)).toMatchObject({ layer: 'l2' });
  });
});
