/** How a new container gets warm before its first request, on a real Redis of its own and a real PostgreSQL. */
import pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Entry, encodeEntry } from '../../../../shared/cache/entry.ts';
import { userSearch } from '../../../../shared/datasets/user-search.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import {
  type HotKeys,
  keepHotKeys,
  readManifest,
  readUnfinished,
} from '../../../../shared/warming/hot-keys.ts';
import { Hydration } from '../../../../shared/warming/hydration.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { type Container, openContainer } from '../../../support/containers.ts';
import { keys } from '../../../support/keys.ts';
import { startReadFunction } from '../../../support/programs/start.ts';
import { countOutcomes } from '../../../support/redis-outcomes.ts';
import {
  connectPg,
  type IsolatedServers,
  isolatedServers,
  type OwnRedis,
  startOwnRedis,
} from '../../../support/servers.ts';
import { openSlowProxy, type SlowProxy } from '../../../support/slow-proxy.ts';
import { letPass, moveRedisAlong, stopClock } from '../../../support/virtual-clock.ts';
import { datasetsOf, runWarmUp } from '../../../support/warm-ups.ts';

/** Quickly warmed, for the tests whose sizes do not matter. */
const USERS = 40;
const SEARCHES = 5;

let servers: IsolatedServers;
let own: OwnRedis;
let database: Database;
let redis: GuardedRedis;
let hotIds: number[];
let hotSearch: Parameters<typeof userSearch.key>[0];
/** All that a warm-up has left in Redis: each test finds it as if one had just run. */
let warmed: ReadonlyMap<string, Buffer>;

beforeAll(async () => {
  [servers, own] = await Promise.all([isolatedServers(), startOwnRedis()]);
  database = closedAtEnd(new Database(servers.databaseUrl));
  redis = closedAtEnd(new GuardedRedis(own.url, WARMER_GUARD));
  hotIds = await users.rank(database, USERS);
  [hotSearch] = (await userSearch.rank(database, 1)) as [typeof hotSearch];
  await warm(USERS, SEARCHES);
  warmed = await dumpAll();
});
beforeEach(async () => {
  await redis.run((client) => client.flushdb());
  await redis.batch([...warmed.keys()], (commands, index) => {
    const [key, value] = [...warmed][index] as [string, Buffer];
    return commands.restore(key, 0, value);
  });
  stopClock(); // what was looked at a moment ago is not answered from memory without another look
});
afterEach(() => {
  vi.useRealTimers();
});

async function dumpAll(): Promise<Map<string, Buffer>> {
  const names = await redis.run((client) => client.keys('*'));
  const values = await redis.run((client) => Promise.all(names.map((name) => client.dumpBuffer(name))));
  return new Map(names.map((name, place) => [name, values[place] as Buffer]));
}

async function warm(usersMax: number, searchesMax: number): Promise<void> {
  const { report } = await runWarmUp(redis, database, datasetsOf(usersMax, searchesMax));
  expect(report.status).toBe('success');
}

/** One that has no database: what it answers comes from its memory or from Redis. */
const openWithoutDatabase = (redisUrl = own.url) => openContainer({ redisUrl });
const openWithDatabase = () => openContainer({ redisUrl: own.url, databaseUrl: servers.databaseUrl });

function keepManifest(text: string): Promise<unknown> {
  return redis.run((client) => client.set(keys.warmupManifest, text));
}

async function commandCalls(command: string): Promise<number> {
  const info = await redis.run((client) => client.info('commandstats'));
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
}

describe('a new container', () => {
  it('answers what is hot from its memory at its first request, after one MGET and no query', async () => {
    const { caches, hydrate } = await openWithoutDatabase();
    await redis.run((client) => client.config('RESETSTAT'));
    expect(await hydrate()).toMatchObject({ keys: USERS + SEARCHES });
    expect(await commandCalls('mget')).toBe(1);
    expect(hotIds.map((id) => caches.users.probe(id)?.layer)).toEqual(hotIds.map(() => 'hydrated'));
    expect(JSON.parse(caches.users.probe(hotIds[0] as number)?.json ?? '')).toMatchObject({ id: hotIds[0] });
    expect(caches.userSearch.probe(hotSearch)?.layer).toBe('hydrated');
    expect(await commandCalls('mget')).toBe(1);
    expect(caches.users.counts).toMatchObject({ hydrated: USERS + 1, l1: 0, l2: 0, miss: 0 });
  });

  it.each([5, 30])(
    'that gets its first request %d minutes later fills its memory again beside it',
    async (minutes) => {
      const { redis: guard, caches } = await openWithoutDatabase();
      await moveRedisAlong(guard);
      const hydration = new Hydration(guard, Object.values(caches));
      await hydration.fill();
      await letPass(minutes * 60_000);
      await redis.run((client) => client.config('RESETSTAT'));
      const [first] = await Promise.all([caches.users.get(hotIds[0] as number), hydration.fillAgainIfAged()]);
      expect(first.layer).toBe('l2');
      const others = hotIds.slice(1);
      await expect
        .poll(() => others.map((id) => caches.users.probe(id)?.layer))
        .toEqual(others.map(() => 'hydrated'));
      await hydration.fillAgainIfAged();
      expect(await commandCalls('mget')).toBe(1); // for all others; the read itself would have taken a lease to load
    },
  );

  it('that gets its first request at once fills nothing again', async () => {
    const { redis: guard, caches } = await openWithoutDatabase();
    const hydration = new Hydration(guard, Object.values(caches));
    await hydration.fill();
    await redis.run((client) => client.config('RESETSTAT'));
    await hydration.fillAgainIfAged();
    await letPass(30 * 60_000);
    await hydration.fillAgainIfAged();
    expect(await commandCalls('mget')).toBe(0);
  });

  it('fills its memory to the brim with one MGET and no query', async () => {
    await warm(1_000, 100);
    const { hydrate } = await openWithoutDatabase();
    await redis.run((client) => client.config('RESETSTAT'));
    const full = users.memoryEntriesMax + userSearch.memoryEntriesMax;
    expect(await hydrate()).toMatchObject({ keys: full });
    expect(full).toBe(1_000);
    expect(await commandCalls('mget')).toBe(1);
  });

  it('keeps what was read most the longest, when its memory is full', async () => {
    await warm(1_000, 100);
    const ranked = await users.rank(database, users.memoryEntriesMax);
    const { caches, hydrate } = await openWithDatabase();
    await hydrate();
    const others = [20_001, 20_002, 20_003].filter((id) => !ranked.includes(id));
    await Promise.all(others.map((id) => caches.users.get(id)));
    expect(caches.users.probe(ranked[0] as number)?.layer).toBe('hydrated');
    expect(caches.users.probe(ranked.at(-1) as number)).toBeUndefined();
  });

  it('counts what it answers from there as reads, like any other', async () => {
    const { caches, hydrate } = await openWithoutDatabase();
    await hydrate();
    for (let times = 0; times < 3; times++) caches.users.probe(hotIds[0] as number);
    expect(caches.users.takeReads()).toEqual(new Map([[String(hotIds[0]), 3]]));
  });
});

describe('the read function', () => {
  it('starts with what is hot and one connection to Postgres, which its first query uses', async () => {
    const isolated = { redisUrl: own.url, databaseUrl: servers.databaseUrl };
    const watch = await openBackendWatch();
    const [read, many] = [await startReadFunction(isolated), hotIds.slice(0, 3).join(',')];
    const [connected] = await watch.opened();
    const answers = [
      await read.call('get', { resource: '/users/{id}', pathParameters: { id: String(hotIds[0]) } }),
      await read.call('get', { resource: '/users', queryStringParameters: { ids: many } }),
      await read.call('get', { resource: '/users/search', queryStringParameters: { q: hotSearch.query } }),
    ];
    expect(answers.map(({ statusCode, headers }) => [statusCode, headers?.['x-cache']])).toEqual([
      [200, 'hydrated'],
      [200, 'hydrated'],
      [200, 'hydrated'],
    ]);
    // It was not used for anything until now.
    // Nothing but whether it is a standby has been asked.
    expect(await watch.opened()).toEqual([
      { pid: connected?.pid, query: expect.stringContaining('pg_is_in_recovery') },
    ]);
    const missed = await read.call('get', { resource: '/users/{id}', pathParameters: { id: '20001' } });
    expect(missed.headers?.['x-cache']).toBe('miss');
    expect(await watch.opened()).toEqual([{ pid: connected?.pid, query: expect.stringContaining('users') }]);
  });
});

type Backend = { readonly pid: number; readonly query: string };

/** The connections to this test's database that were opened since. */
async function openBackendWatch(): Promise<{ opened(): Promise<Backend[]> }> {
  const admin = await connectPg(servers.databaseUrl);
  const list = async () => {
    const { rows } = await admin.query<Backend>(
      `SELECT pid, query FROM pg_stat_activity
       WHERE datname = current_database() AND backend_type = 'client backend'`,
    );
    return rows;
  };
  const before = new Set((await list()).map(({ pid }) => pid));
  return { opened: async () => (await list()).filter(({ pid }) => !before.has(pid)) };
}

describe('a start waits no longer than its time for being warm', () => {
  /** So patient with Redis that what ends in time has not waited for it. */
  const guard = { ...WARMER_GUARD, timeoutMs: 60_000 };

  async function behindProxy(): Promise<{ proxy: SlowProxy; container: Container }> {
    const proxy = await openSlowProxy(own.url);
    return { proxy, container: await openContainer({ redisUrl: proxy.url, guard }) };
  }

  it('when Redis hangs', async () => {
    const { proxy, container } = await behindProxy();
    const outcomes = countOutcomes(container.redis);
    proxy.hang();
    expect(await container.hydrate(50)).toMatchObject({ keys: 0 });
    // All that it has sent is under way still.
    expect(outcomes).toMatchObject({ answered: 0, waitedInVain: 0, refusedAtOnce: 0 });
  });

  it('when Redis hangs after the manifest, and what comes later is still of use', async () => {
    const { proxy, container } = await behindProxy();
    const { checkGeneration } = container.caches.users;
    const hung = Promise.withResolvers<void>();
    vi.spyOn(container.caches.users, 'checkGeneration').mockImplementation(async () => {
      const isKnown = await checkGeneration.call(container.caches.users);
      proxy.hang();
      hung.resolve();
      return isKnown;
    });
    expect(await container.hydrate(50)).toMatchObject({ keys: 0 });
    await hung.promise; // a busy machine may need longer than the start waits
    await proxy.recover();
    await expect.poll(() => container.caches.users.probe(hotIds[0] as number)?.layer).toBe('hydrated');
  });

  it('when Redis refuses', async () => {
    const { proxy, container } = await behindProxy();
    const outcomes = countOutcomes(container.redis);
    await proxy.refuse();
    expect(await container.hydrate(50)).toMatchObject({ keys: 0 });
    expect(outcomes.answered).toBe(0);
  });
});

describe('costs nothing but warmth:', () => {
  /** The container starts, and reads from Redis. */
  async function expectCold(): Promise<void> {
    const { caches, hydrate } = await openWithoutDatabase();
    expect(await hydrate()).toMatchObject({ keys: 0 });
    expect(await caches.users.get(hotIds[0] as number)).toMatchObject({ layer: 'l2' });
  }

  it('no manifest', async () => {
    await redis.run((client) => client.del(keys.warmupManifest));
    await expectCold();
  });

  it.each(['', '{', 'null', '5', '"users"', '[]', '[["1"]]', '{"nobody":["1"]}', '{"__proto__":["1"]}'])(
    'a manifest that is %j, which the next run replaces',
    async (text) => {
      await keepManifest(text);
      await expectCold();
      await warm(5, 1);
      expect((await readManifest(redis)).get(users.name)).toEqual(hotIds.slice(0, 5).map(String));
    },
  );

  it.each<[string, (id: number) => unknown]>([
    ['a number', (id) => id],
    ['a text', String],
    ['nothing', () => null],
    ['no list', (id) => ({ 0: String(id) })],
    ['a list of numbers', (id) => [id]],
    ['a list of lists', (id) => [[String(id)]]],
  ])('a part of the manifest that is %s, for its own dataset alone', async (_, partOf) => {
    const manifest = Object.fromEntries(await readManifest(redis));
    await keepManifest(JSON.stringify({ ...manifest, [users.name]: partOf(hotIds[0] as number) }));
    const { hydrate } = await openWithoutDatabase();
    expect(await hydrate()).toMatchObject({ keys: SEARCHES });
  });

  it.each(['warmupManifest', 'warmupUnfinished'] as const)(
    'a %s of another type, which the next run replaces',
    async (name) => {
      await redis.run((client) => client.del(keys[name]));
      await redis.run((client) => client.rpush(keys[name], 'no text'));
      if (name === 'warmupManifest') await expectCold();
      await warm(USERS, SEARCHES);
      expect((await readManifest(redis)).get(users.name)).toEqual(hotIds.map(String));
    },
  );

  it('keys that are not in Redis, and what is hot of a dataset that is not cached here', async () => {
    await keepManifest(
      JSON.stringify({ nobody: ['1'], users: ['999999', 'x', '{}', '', String(hotIds[3])] }),
    );
    const { caches, hydrate } = await openWithoutDatabase();
    expect(await hydrate()).toMatchObject({ keys: 1 });
    expect(caches.users.probe(hotIds[3] as number)?.layer).toBe('hydrated');
  });

  it('a manifest of 100,000 keys, of which no more are asked for than memory holds', async () => {
    const many = [
      ...hotIds.map(String),
      ...Array.from({ length: 100_000 }, (_, index) => `made-up-${index}`),
    ];
    await keepManifest(JSON.stringify({ [users.name]: many, [userSearch.name]: many }));
    const container = await openWithoutDatabase();
    const readTexts = vi.spyOn(container.redis, 'readTexts');
    expect(await container.hydrate()).toMatchObject({ keys: USERS });
    const asked = readTexts.mock.calls.flatMap(([entryKeys]) => entryKeys);
    expect(asked).toHaveLength(users.memoryEntriesMax + userSearch.memoryEntriesMax);
  });
});

describe('is not taken into memory', () => {
  it('what is corrupt, stale, a tombstone, or known not to exist', async () => {
    const [corrupt, cut, stale, absent, invalidated] = hotIds as [number, number, number, number, number];
    const { caches: others } = await openWithoutDatabase();
    const generation = await others.users.currentGeneration();
    const entryKey = (id: number) => keys.entry(users.name, users.schemaVersion, generation, String(id));
    const nowMs = Date.now();
    const times = { readAtUs: 1, freshUntilMs: nowMs - 1, staleUntilMs: nowMs + 60_000 };
    const old: Entry = { kind: 'value', json: '{}', ...times };
    const put = (id: number, text: string) => redis.run((client) => client.set(entryKey(id), text));
    await put(corrupt, 'garbage');
    await put(cut, (await redis.run((client) => client.get(entryKey(cut))))?.slice(0, -1) ?? '');
    await put(stale, encodeEntry(old));
    await put(absent, encodeEntry({ ...old, kind: 'absent', freshUntilMs: times.staleUntilMs, json: null }));
    await others.users.invalidate([invalidated], await database.nowUs());
    const { caches, hydrate } = await openWithoutDatabase();
    // The searches are made of users: what is invalidated there clears them.
    expect(await hydrate()).toMatchObject({ keys: USERS - 5 });
    const taken = hotIds.filter((id) => caches.users.probe(id) !== undefined);
    expect(taken).toEqual(hotIds.slice(5));
    expect(caches.users.counts.corrupt).toBe(2);
  });

  it('what memory has newer already', async () => {
    const id = hotIds[0] as number;
    const { caches, redis: its } = await openWithDatabase();
    await caches.users.checkGeneration();
    const wanted = caches.users.planHydration([String(id)]);
    const old = await its.readTexts(wanted.entryKeys);
    await redis.run((client) => client.del(wanted.entryKeys[0] as string));
    await rename(id, 'Somebody Newer');
    expect(await caches.users.get(id)).toMatchObject({ layer: 'miss' });
    caches.users.hydrate(wanted, old);
    expect(nameIn(caches.users.probe(id))).toBe('Somebody Newer');
  });
});

async function rename(id: number, name: string): Promise<void> {
  const admin = new pg.Client({ connectionString: servers.databaseUrl });
  await admin.connect();
  try {
    await admin.query('UPDATE users SET display_name = $2 WHERE id = $1', [id, name]);
  } finally {
    await admin.end();
  }
}

function nameIn(read: { readonly json: string | null } | undefined): string | undefined {
  return read && (JSON.parse(read.json ?? '{}') as { displayName?: string }).displayName;
}

describe('what has changed since the manifest was written is not answered as it was', () => {
  let id: number;
  let newName: string;
  let changes = 0;
  let owner: Container;

  beforeEach(async () => {
    id = hotIds[0] as number;
    newName = `New Name ${++changes}`;
    owner = await openWithDatabase();
  });

  const clear = async () => {
    await rename(id, newName);
    await owner.caches.users.clear();
  };
  const invalidate = async () => {
    await rename(id, newName);
    await owner.caches.users.invalidate([id], await database.nowUs());
  };
  const changed = [
    ['cleared', clear],
    ['invalidated', invalidate],
  ] as const;

  it.each(changed)('when it was %s before the container started', async (_, change) => {
    await change();
    const container = await openWithDatabase();
    await container.hydrate();
    expect(container.caches.users.probe(id)).toBeUndefined();
    expect(nameIn(await container.caches.users.get(id))).toBe(newName);
  });

  it.each(changed)(
    'when it is %s between the generation check and the reading, a second later at most',
    async (_, change) => {
      const container = await openWithDatabase();
      await moveRedisAlong(container.redis);
      const onReading = vi.fn(change);
      aroundReading(container, async (read) => {
        await onReading();
        return read();
      });
      await container.hydrate();
      expect(onReading).toHaveBeenCalledTimes(1);
      await letPass(1_000);
      expect(nameIn(await container.caches.users.get(id))).toBe(newName);
    },
  );

  it.each(changed)(
    'when it is %s after the reading and heard of before memory is filled',
    async (_, change) => {
      const container = await openWithDatabase();
      aroundReading(container, async (read) => {
        const texts = await read();
        await change();
        await container.caches.users.checkGeneration();
        return texts;
      });
      expect(await container.hydrate()).toMatchObject({ keys: SEARCHES });
      expect(container.caches.users.probe(id)).toBeUndefined();
      expect(nameIn(await container.caches.users.get(id))).toBe(newName);
    },
  );
});

type Texts = (string | null)[];

/** Acts around the container's first reading of entries, which comes after its generation check. */
function aroundReading({ redis: its }: Container, act: (read: () => Promise<Texts>) => Promise<Texts>): void {
  const readTexts = its.readTexts.bind(its);
  let isFirst = true;
  vi.spyOn(its, 'readTexts').mockImplementation((entryKeys) => {
    const read = () => readTexts(entryKeys);
    if (entryKeys.length === 0 || !isFirst) return read(); // a generation check alone reads none
    isFirst = false;
    return act(read);
  });
}

describe('hot keys', () => {
  /** Higher than those of the runs before: in an hour. */
  const FENCE = (Date.now() + 3_600_000) * 1_000;
  const hot = (...read: string[]): HotKeys => new Map([[users.name, read]]);
  const since = (atMs?: number) => new Map([[users.name, atMs]]);
  const none = new Map<string, number>();
  const keep = (
    fence: number,
    manifest: HotKeys,
    unfinished: ReadonlyMap<string, number | undefined>,
    registered = [users.name, userSearch.name],
  ) => keepHotKeys(redis, fence, { datasets: registered, manifest, unfinished });

  it('of a later run are not replaced by those of an earlier one that ends late', async () => {
    await keep(FENCE + 20, hot('of-20'), since(20));
    await keep(FENCE + 19, hot('of-19'), since(19));
    expect((await readManifest(redis)).get(users.name)).toEqual(['of-20']);
    expect(await readUnfinished(redis, users.name)).toBe(20);
    await keep(FENCE + 21, hot('of-21'), none);
    expect((await readManifest(redis)).get(users.name)).toEqual(['of-21']);
  });

  it('of a dataset for which a run could choose nothing stay as they are', async () => {
    const before = await readManifest(redis);
    await keep(FENCE + 20, hot('of-20'), none);
    const after = await readManifest(redis);
    expect(after.get(users.name)).toEqual(['of-20']);
    expect(after.get(userSearch.name)).toEqual(before.get(userSearch.name));
  });

  it('of a dataset that is registered no more are forgotten', async () => {
    await keep(FENCE + 20, hot('of-20'), none, [users.name]);
    expect([...(await readManifest(redis)).keys()]).toEqual([users.name]);
  });

  it('of a run that did everything leave nothing to do', async () => {
    await keep(FENCE + 20, hot('a'), since(20));
    await keep(FENCE + 21, hot('a'), since());
    expect(await readUnfinished(redis, users.name)).toBeUndefined();
    expect(await redis.run((client) => client.exists(keys.warmupUnfinished))).toBe(0);
  });
});
