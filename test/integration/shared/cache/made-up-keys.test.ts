/** What callers may ask for at will costs little: floods of keys that nobody asks for again, on a real Redis with a limit. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Source } from '../../../../shared/cache/source.ts';
import { TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { type OwnRedis, startOwnRedis } from '../../../support/servers.ts';

const PATIENT = { ...REQUEST_GUARD, timeoutMs: 10_000 };
const MINUTE_MS = 60_000;
const MEMORY_BYTES = 32 * 1024 * 1024;
/** Of one dataset, when there is one. */
const TENTH_BYTES = MEMORY_BYTES / 10;
/** With what is asked for again. */
const THIRD_BYTES = MEMORY_BYTES / 3;
/** Of 600 bytes each, as users are: half of the memory. */
const HOT = Array.from({ length: 20_000 }, (_, place) => `hot-${place}`);
/** As many as 40 a second are in ten minutes. */
const FLOOD = 24_000;
const PAGE_CHARACTERS = 23_000;
/** What is asked for together: a flood comes from many callers at once. */
const AT_ONCE = 50;

let server: OwnRedis;
let redis: GuardedRedis;

beforeEach(async () => {
  server = await startOwnRedis();
  redis = closedAtEnd(new GuardedRedis(server.url, PATIENT));
  await redis.run((client) =>
    client.config('SET', 'maxmemory', String(MEMORY_BYTES), 'maxmemory-policy', 'volatile-lru'),
  );
});

type Kind = {
  readonly valueCharacters: number;
  /** @default those of the product */
  readonly timing?: Partial<Source<string>['timing']>;
  readonly takesAnyKey: boolean;
  /** @default x */
  readonly letter?: string;
  /** Called when a load begins, which waits for it. */
  readonly onLoad?: () => Promise<void>;
};

/** A container's cache of texts that are made here, and no database: `absent-…` is nothing. */
function openCache(
  name: string,
  { valueCharacters, takesAnyKey, letter = 'x', timing, onLoad }: Kind,
): TieredCache<string> {
  const textOf = (id: string) => (id.startsWith('absent') ? null : letter.repeat(valueCharacters));
  const source: Source<string> = {
    name,
    schemaVersion: 1,
    takesAnyKey,
    memoryEntriesMax: 100,
    timing: {
      freshMs: 5 * MINUTE_MS,
      warmFreshMs: 75 * MINUTE_MS,
      graceMs: 15 * MINUTE_MS,
      absentMs: 30_000,
      memoryMs: MINUTE_MS,
      ...timing,
    },
    key: (id) => id,
    load: async (ids) => {
      await onLoad?.();
      return { readAtUs: Date.now() * 1_000, values: ids.map(textOf) };
    },
  };
  const guard = closedAtEnd(new GuardedRedis(server.url, PATIENT));
  return new TieredCache(source, guard);
}

const usersCache = () => openCache('users', { valueCharacters: 600, takesAnyKey: false });
const searchCache = (onLoad?: () => Promise<void>) =>
  openCache('search', { valueCharacters: PAGE_CHARACTERS, takesAnyKey: true, ...(onLoad && { onLoad }) });

async function readAll(cache: TieredCache<string>, ids: readonly string[], atOnce = AT_ONCE): Promise<void> {
  for (let from = 0; from < ids.length; from += atOnce) {
    await Promise.all(ids.slice(from, from + atOnce).map((id) => cache.get(id)));
  }
}

/** As many lists of a hundred ids each. */
async function readLists(cache: TieredCache<string>, prefix: string, lists: number): Promise<void> {
  for (let list = 0; list < lists; list++) await cache.getMany(some(`${prefix}-${list}`, 100));
}

const some = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}-${n}`);

/** What Redis holds of a dataset's entries whose ids begin with `prefix`. */
async function storedOf(dataset: string, prefix: string): Promise<{ entries: number; bytes: number }> {
  const found = await redis.run((client) => client.keys(`prewarm:entry:${dataset}:*:${prefix}*`));
  const sizes = await redis.batch(found, (commands, place) =>
    commands.memory('USAGE', found[place] as string),
  );
  return {
    entries: found.length,
    bytes: (sizes as (number | null)[]).reduce((sum: number, size) => sum + (size ?? 0), 0),
  };
}

/** The share of `ids` that are answered without a load by a container that has none of them in its memory. */
async function hitsOf(ids: readonly string[]): Promise<number> {
  const cache = usersCache();
  await readAll(cache, ids);
  return cache.counts.l2 / ids.length;
}

async function warmHot(): Promise<void> {
  const cache = usersCache();
  for (let from = 0; from < HOT.length; from += 250) await cache.warm(HOT.slice(from, from + 250));
}

describe('a key that callers can make up', () => {
  it('enters Redis with its second request', async () => {
    const cache = searchCache();
    expect(await cache.get('new')).toMatchObject({ layer: 'miss' });
    expect(await storedOf('search', 'new')).toMatchObject({ entries: 0 });
    expect(await searchCache().get('new')).toMatchObject({ layer: 'miss' });
    expect(await storedOf('search', 'new')).toMatchObject({ entries: 1 });
    expect(await searchCache().get('new')).toMatchObject({ layer: 'l2' });
  });

  it('that several containers ask for at once is loaded once, and stored', async () => {
    const [begun, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let loads = 0;
    const onLoad = () => {
      loads++;
      begun.resolve();
      return opened.promise;
    };
    const [leader, ...others] = Array.from({ length: 5 }, () => searchCache(onLoad));
    const reads = [leader?.get('new')];
    await begun.promise;
    reads.push(...others.map((cache) => cache.get('new')));
    // Whoever waits for the first one has noted that it is asked for again.
    await expect.poll(() => bitsSet('search')).toBeGreaterThan(0);
    opened.resolve();
    await Promise.all(reads);
    expect(loads).toBe(1);
    expect(await storedOf('search', 'new')).toMatchObject({ entries: 1 });
  });

  it('is in the memory of the container that loaded it, where that has room', async () => {
    const cache = searchCache();
    await readAll(cache, some('hot', 100));
    await readAll(cache, some('hot', 100)); // a second request: they are worth their places
    await readAll(cache, some('flood', 200));
    await readAll(cache, some('hot', 100));
    expect(cache.counts.l1).toBe(200);
  });
});

const bitsSet = async (dataset: string): Promise<number> => {
  const counts = [0, 1].map((turn) =>
    redis.run((client) => client.bitcount(`prewarm:{${dataset}}:seen:${turn}`)),
  );
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
};

/** As if readers had filled their shares. */
const fillShares = (dataset: string) =>
  redis.run((client) =>
    client.hset(`prewarm:{${dataset}}:admission`, { bytes0: MEMORY_BYTES, bytes1: MEMORY_BYTES }),
  );

const countedOf = async (dataset: string): Promise<number> => {
  const counted = await redis.run((client) =>
    client.hmget(`prewarm:{${dataset}}:admission`, 'bytes0', 'bytes1'),
  );
  return counted.reduce((sum, bytes) => sum + Number(bytes), 0);
};

describe('what readers are counted', () => {
  it('is not got around by what a container has stale in its memory', async () => {
    const cache = openCache('search', { valueCharacters: 100, takesAnyKey: true, timing: { freshMs: 0 } });
    await cache.get('first');
    await fillShares('search');
    for (let times = 0; times < 5; times++) {
      await cache.get('made-up');
      await cache.getMany(['made-up', 'made-up-too']);
    }
    expect(await storedOf('search', 'made-up')).toMatchObject({ entries: 0 });
  });

  it('is counted again when it is refreshed, since it lives on, and refreshed all the same', async () => {
    const cache = openCache('users', {
      valueCharacters: 20_000,
      takesAnyKey: false,
      timing: { freshMs: 0 }, // stale as soon as it is there
    });
    await cache.get('absent'); // is asked for in Redis
    await cache.get('kept');
    await fillShares('users');
    await usersCache().get('absent-too');
    const filled = await countedOf('users');
    for (let times = 0; times < 4; times++) expect((await cache.get('kept')).layer).not.toBe('l1');
    await cache.get('absent-at-last');
    expect(await countedOf('users')).toBeGreaterThan(filled + 3 * 20_000);
    expect(await storedOf('users', 'kept')).toMatchObject({ entries: 1 });
  });

  it('is not counted again when it was invalidated: it was there before', async () => {
    const cache = openCache('users', { valueCharacters: 20_000, takesAnyKey: false });
    const ids = some('changed', 5);
    await cache.getMany(ids);
    await usersCache().get('reports');
    for (let times = 0; times < 50; times++) {
      await cache.invalidate(ids, Date.now() * 1_000);
      await cache.getMany(ids);
    }
    await cache.get('reports-too');
    expect(await countedOf('users')).toBeLessThan(3 * 5 * 20_000);
    expect(await storedOf('users', 'changed')).toMatchObject({ entries: 5 });
  });

  it('begins anew with a new generation, as the searches have when a user changes', async () => {
    const cache = searchCache();
    await cache.get('before');
    await fillShares('search');
    for (let times = 0; times < 2; times++) await searchCache().get('full');
    expect(await storedOf('search', 'full')).toMatchObject({ entries: 0 });
    await cache.clear();
    for (let times = 0; times < 2; times++) await searchCache().get('cleared');
    expect(await storedOf('search', 'cleared')).toMatchObject({ entries: 1 });
  });
});

describe('a flood', () => {
  it('of ever new pages of searches takes none of the hot set, and nothing of the memory', async () => {
    await warmHot();
    const before = await hitsOf(HOT);
    await readAll(searchCache(), some('page', FLOOD));
    expect(before).toBe(1);
    expect(await hitsOf(HOT)).toBeGreaterThanOrEqual(before - 0.01);
    expect((await storedOf('search', 'page')).bytes).toBeLessThan(TENTH_BYTES);
  });

  it('of searches that are each sent twice takes a third of the memory at most, and none of the hot set', async () => {
    await warmHot();
    const cache = searchCache();
    const pages = some('page', 2_000);
    // What is loaded at the same moment is not known to be too much yet.
    for (let times = 0; times < 2; times++) await readAll(cache, pages, 4);
    const { entries, bytes } = await storedOf('search', 'page');
    expect(entries).toBeGreaterThan(100);
    expect(bytes).toBeLessThan(THIRD_BYTES);
    expect(await hitsOf(HOT)).toBeGreaterThanOrEqual(0.99);
  });

  it('of lists of ids, a hundred thousand of them once, takes little more than a tenth', async () => {
    await warmHot();
    await readLists(usersCache(), 'cold', 1_000);
    // Some seem to have been asked for before.
    expect((await storedOf('users', 'cold')).bytes).toBeLessThan(1.3 * TENTH_BYTES);
    expect(await hitsOf(HOT)).toBeGreaterThanOrEqual(0.99);
  });

  it('of lists of ids that are each sent twice takes a third at most, and none of the hot set', async () => {
    await warmHot();
    const cache = usersCache();
    for (let times = 0; times < 2; times++) await readLists(cache, 'cold', 300);
    expect((await storedOf('users', 'cold')).bytes).toBeLessThan(THIRD_BYTES);
    expect(await hitsOf(HOT)).toBeGreaterThanOrEqual(0.99);
  });

  it('of values of three bytes a letter takes no more than one of others', async () => {
    const cache = openCache('users', { valueCharacters: 600, takesAnyKey: false, letter: '語' });
    await readAll(cache, some('cold', 3_000));
    expect((await storedOf('users', 'cold')).bytes).toBeLessThan(TENTH_BYTES);
  });

  it('is bounded by a limit that Redis was given later', async () => {
    await redis.run((client) => client.config('SET', 'maxmemory', '0'));
    await usersCache().get('first');
    await redis.run((client) => client.config('SET', 'maxmemory', String(MEMORY_BYTES)));
    // As if a minute had passed: Redis is asked again then.
    await redis.run((client) => client.hset('prewarm:{users}:admission', 'memoryAtMs', Date.now() - 60_000));
    await readAll(usersCache(), some('cold', 8_000));
    expect((await storedOf('users', 'cold')).bytes).toBeLessThan(TENTH_BYTES);
  });

  it('of ids that do not exist keeps nobody else out, and is over half a minute after it ended', async () => {
    const cache = usersCache();
    for (let times = 0; times < 2; times++) await readAll(cache, some('absent', 4_000));
    await usersCache().get('honest');
    expect(await storedOf('users', 'honest')).toMatchObject({ entries: 1 });
    // As if two of its windows had passed.
    const began = Date.now() - 60_000;
    await redis.run((client) => client.hset('prewarm:{users}:admission', 'began2', began));
    for (let times = 0; times < 2; times++) await usersCache().get('absent-again');
    expect(await storedOf('users', 'absent-again')).toMatchObject({ entries: 1 });
  });

  it('of reads by id, each of another one, takes a tenth of the memory at most', async () => {
    await warmHot();
    await readAll(usersCache(), some('cold', 8_000));
    const { entries, bytes } = await storedOf('users', 'cold');
    expect(entries).toBeGreaterThan(1_000);
    expect(bytes).toBeLessThan(TENTH_BYTES);
    expect(await hitsOf(HOT)).toBeGreaterThanOrEqual(0.99);
    // What is asked for again is stored all the same.
    await usersCache().get('cold-7999');
    await usersCache().get('cold-7999');
    expect(await usersCache().get('cold-7999')).toMatchObject({ layer: 'l2' });
  });

  it('of ids that do not exist takes nothing, and a tenth at most when each is sent twice', async () => {
    const cache = usersCache();
    await readAll(cache, some('absent', 12_000));
    // Some seem to have been asked for before.
    expect((await storedOf('users', 'absent')).entries).toBeLessThan(12_000 / 50);
    await readAll(cache, some('absent', 12_000));
    const { entries, bytes } = await storedOf('users', 'absent');
    expect(entries).toBeGreaterThan(1_000);
    expect(bytes).toBeLessThan(TENTH_BYTES);
  });

  it('is no reason to keep anything out where Redis has no limit', async () => {
    await redis.run((client) => client.config('SET', 'maxmemory', '0'));
    await readAll(usersCache(), some('cold', 8_000));
    expect((await storedOf('users', 'cold')).entries).toBe(8_000);
  });
});
