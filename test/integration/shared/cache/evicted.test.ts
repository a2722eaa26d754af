/** What a full Redis may evict, and what must hold all the same: nothing that was invalidated comes back. */
import { Redis } from 'ioredis';
import type pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { openCaches } from '../../../../shared/caches.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { AdminLimits } from '../../../../shared/http/rate-limit.ts';
import { Telemetry } from '../../../../shared/metrics/telemetry.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { ReadReporter } from '../../../../shared/warming/popularity.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { connectPg, type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { nameOf, renameUser } from '../../../support/user-names.ts';
import { datasetsOf, runWarmUp } from '../../../support/warm-ups.ts';

const PATIENT = { ...REQUEST_GUARD, timeoutMs: 5_000 };

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

function openGuard(): GuardedRedis {
  const guard = closedAtEnd(new GuardedRedis(servers.redisUrl, PATIENT));
  return guard;
}

/** `afterLoad` is called between a load and what is made of it. */
function openContainer({ schemaVersion = 1, afterLoad = async () => {} } = {}): TieredCache<number> {
  const load = async (ids: readonly number[]) => {
    const loaded = await users.load(database, ids);
    await afterLoad();
    return loaded;
  };
  return new TieredCache({ ...users, schemaVersion, load }, openGuard());
}

const rename = (id: number, name: string) => renameUser(admin, id, name);

async function evict(pattern: string): Promise<void> {
  const found = await redis.keys(pattern);
  expect(found).not.toEqual([]);
  await redis.del(...found);
}

describe('a load that an invalidation overtook', () => {
  /** The row is read, changed, invalidated, and what keeps the old value out of Redis is lost; then the load goes on. */
  const overtaken = (id: number, lost: string) => async () => {
    if ((await redis.exists('overtaken')) === 1) return; // it is loaded again
    await redis.set('overtaken', '1', 'EX', 60);
    await rename(id, 'New');
    await openContainer().invalidate([id], await database.nowUs());
    await evict(lost);
  };

  it.each([
    ['the tombstone', 'prewarm:entry:users:*:40', 40],
    ['the list of what was invalidated', 'prewarm:{users}:invalidated', 41],
    ['all that belongs to the dataset', 'prewarm:*users*', 42],
  ])('does not store the old value where %s was evicted', async (_, lost, id) => {
    await rename(id, 'Old');
    const reader = openContainer({ afterLoad: overtaken(id, lost) });
    await reader.get(id);
    expect(nameOf(await openContainer().get(id))).toBe('New');
  });

  it('does not store it where the tombstone was evicted in the middle of the invalidation', async () => {
    await rename(49, 'Old');
    const [loaded, tombstonePut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let loads = 0;
    const afterLoad = () => {
      if (++loads > 1) return Promise.resolve();
      loaded.resolve();
      return tombstonePut.promise;
    };
    const read = openContainer({ afterLoad }).get(49);
    await loaded.promise;
    await rename(49, 'New');
    const guard = openGuard();
    const batch = guard.batch.bind(guard);
    guard.batch = async (...batched) => {
      const answers = await batch(...batched);
      await evict('prewarm:entry:users:*:49');
      tombstonePut.resolve();
      await read;
      return answers;
    };
    await new TieredCache({ ...users, load: (ids) => users.load(database, ids) }, guard).invalidate(
      [49],
      await database.nowUs(),
    );
    expect(nameOf(await openContainer().get(49))).toBe('New');
  });

  it('does not store it in a batch either', async () => {
    for (const id of [43, 44]) await rename(id, 'Old');
    const reader = openContainer({ afterLoad: overtaken(43, 'prewarm:entry:users:*:43') });
    await reader.getMany([43, 44]);
    const fresh = openContainer();
    expect((await fresh.getMany([43, 44])).map(nameOf)).toEqual(['New', 'Old']);
  });
});

describe('a container', () => {
  it('whose list of invalidated ids was evicted believes nothing in its memory', async () => {
    const [owner, reader] = [openContainer(), openContainer()];
    await rename(45, 'Old');
    await reader.get(45);
    await rename(45, 'New');
    await owner.invalidate([45], await database.nowUs());
    await evict('prewarm:{users}:invalidated');
    await reader.checkGeneration();
    expect(nameOf(await reader.get(45))).toBe('New');
  });

  it('hears of what another one invalidated after the list was evicted, and of what it may have missed', async () => {
    const [owner, reader] = [openContainer(), openContainer()];
    await reader.getMany([46, 47]);
    await owner.checkGeneration();
    await evict('prewarm:{users}:invalidated');
    await owner.invalidate([46], await database.nowUs());
    await reader.checkGeneration();
    expect([reader.probe(46), reader.probe(47)]).toEqual([undefined, undefined]);
  });

  it('begins anew when nobody knows which versions have entries: an invalidation would miss theirs', async () => {
    const [owner, reader] = [openContainer(), openContainer({ schemaVersion: 2 })];
    await rename(48, 'Old');
    await reader.get(48);
    await evict('prewarm:{users}:schema-versions');
    await rename(48, 'New');
    await owner.invalidate([48], await database.nowUs());
    await reader.checkGeneration();
    expect(nameOf(await reader.get(48))).toBe('New');
  });
});

it('what promises rest on has no time to live, and is not evicted by a policy that takes what has one', async () => {
  const guard = openGuard();
  const caches = openCaches(guard, database);
  await caches.users.getMany([1, 2, 3]);
  await caches.users.invalidate([1], await database.nowUs());
  await caches.userSearch.get({ query: 'an', limit: 5, after: null });
  await new ReadReporter(guard, Object.values(caches)).reportAll();
  await new Telemetry(guard, undefined, Object.values(caches)).publishNow();
  await new AdminLimits(guard).consume({ name: 'clear', callsPerMinute: 2 }, 'somebody');
  await runWarmUp(guard, database, datasetsOf(20, 5));
  const all = await redis.keys('*');
  const ttls = await Promise.all(all.map((key) => redis.pttl(key)));
  const expiring = new Set(
    all.filter((_, place) => (ttls[place] as number) >= 0).map((key) => key.split(':')[1]),
  );
  expect([...expiring].filter((kind) => kind !== 'entry')).toEqual([]);
  expect(all).toEqual(
    expect.arrayContaining([
      keys.generation('users'),
      keys.invalidated('users'),
      keys.schemaVersions('users'),
      keys.popularity('users'),
      keys.limit('clear'),
      keys.metricTotals,
      keys.metricFlushed,
      keys.warmupFence,
      keys.warmupReports,
    ]),
  );
});
