/** Prewarm as its functions use it: the users dataset over a guarded Redis, with the source of the case instead of Postgres, or with Postgres. */
import type { LoadedBatch, Source } from '../../../shared/cache/source.ts';
import { type CacheRead, TieredCache } from '../../../shared/cache/tiered-cache.ts';
import { openCaches } from '../../../shared/caches.ts';
import { users } from '../../../shared/datasets/users.ts';
import { setLogLevel } from '../../../shared/logger.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';
import type { Contestant, Setup } from './contestant.ts';

const CONNECT_TIMEOUT_MS = 1_000;

export async function open(setup: Setup): Promise<Contestant> {
  setLogLevel('silent');
  const redis = new GuardedRedis(setup.redisUrl, REQUEST_GUARD);
  await redis.connect(CONNECT_TIMEOUT_MS);
  const close = () => redis.close();
  if (setup.databaseUrl !== undefined) {
    const caches = openCaches(redis, new Database(setup.databaseUrl));
    return { ...readersWithNumbers(caches.users), close };
  }
  if (setup.variant === 'numeric') return { ...readersWithNumbers(openCache<number>(setup, redis)), close };
  const cache = openCache<string>(setup, redis);
  return { ...(setup.variant === 'parsed' ? readersWithParse(cache) : readers(cache)), close };
}

function openCache<Id>(setup: Setup, redis: GuardedRedis): TieredCache<Id> {
  const source: Source<Id> = {
    name: users.name,
    schemaVersion: users.schemaVersion,
    timing: { ...users.timing, freshMs: setup.redisMs, memoryMs: setup.memoryMs },
    memoryEntriesMax: setup.memoryEntriesMax,
    key: String,
    load: (ids) => loadBatch(setup, ids.map(String)),
  };
  return new TieredCache(source, redis);
}

async function loadBatch(setup: Setup, ids: readonly string[]): Promise<LoadedBatch> {
  const readAtUs = Date.now() * 1_000;
  const values = await Promise.all(ids.map((id) => setup.load(id)));
  return { readAtUs, values: values.map((value) => JSON.stringify(value)) };
}

function parse(read: unknown): unknown {
  return JSON.parse((read as CacheRead).json ?? 'null');
}

function readers(cache: TieredCache<string>): Omit<Contestant, 'close'> {
  return {
    probe: (id) => cache.probe(id),
    get: (id) => cache.get(id),
    getMany: (ids) => cache.getMany(ids),
    toUser: parse,
    // A look at Redis may come first, every half second.
    isFromMemory: (read) => (read as CacheRead).layer === 'l1',
  };
}

/** For a caller who wants an object after all. */
function readersWithParse(cache: TieredCache<string>): Omit<Contestant, 'close'> {
  return {
    get: async (id) => parse(await cache.get(id)),
    getMany: async (ids) => (await cache.getMany(ids)).map(parse),
  };
}

/** The path of a request for a user: a number, of which the dataset makes a key. */
function readersWithNumbers(cache: TieredCache<number>): Omit<Contestant, 'close'> {
  return {
    probe: (id) => cache.probe(Number(id)),
    get: (id) => cache.get(Number(id)),
    getMany: (ids) => cache.getMany(ids.map(Number)),
    toUser: parse,
  };
}
