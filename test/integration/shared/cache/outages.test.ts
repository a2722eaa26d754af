/** What an outage costs a reader: Redis refused, frozen, slow, full, a replica, loading or locked; PostgreSQL refused or mute; entries that are none. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Source } from '../../../../shared/cache/source.ts';
import { type CacheRead, TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { DatabaseUnavailableError, RedisUnavailableError } from '../../../../shared/errors.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, type GuardOptions, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { keys } from '../../../../shared/redis/keys.ts';
import {
  type IsolatedServers,
  isolatedServers,
  type OwnRedis,
  startOwnRedis,
} from '../../../support/servers.ts';
import { openSlowProxy, type SlowProxy } from '../../../support/slow-proxy.ts';

/** A first miss waits for one command that Redis does not answer. */
const FIRST_MISS_EXTRA_MS = 150;
const LATER_MISS_EXTRA_MS = 10;
const RECOVERY_MS = 2_000;
const DATABASE_CONNECTIONS = 2;
/** Long enough for two probes of the breaker. */
const OUTAGE_MS = 1_200;
/** A look and a read; what a script calls counts too. */
const ONE_READ_COMMANDS_MAX = 10;
const IN_MEMORY = 1;
/** So many misses do not drive it out. */
const memoryEntriesMax = 100_000;

/** For tests in which Redis is well: a busy machine does not make it look otherwise. */
const PATIENT: GuardOptions = { ...REQUEST_GUARD, timeoutMs: 2_000 };

let servers: IsolatedServers;
let admin: pg.Client;
/** Ids that the test has not read yet. */
let nextId = 0;

beforeAll(async () => {
  servers = await isolatedServers();
  admin = new pg.Client({ connectionString: servers.databaseUrl });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await servers.dispose();
});
beforeEach(() => {
  nextId = 100;
});

type Timing = Partial<Source<number>['timing']>;

/** A container: its own connections, and as many caches, with a memory each, as a test needs. */
type Container = {
  readonly guard: GuardedRedis;
  readonly database: Database;
  readonly application: string;
  loads: number;
  open(timing?: Timing): TieredCache<number>;
};

function openContainer(
  redisUrl: string,
  { databaseUrl = servers.databaseUrl, guard: options = REQUEST_GUARD } = {},
): Container {
  const application = `outage-${crypto.randomUUID()}`;
  const url = new URL(databaseUrl);
  url.searchParams.set('application_name', application);
  const database = new Database(url.href);
  const guard = new GuardedRedis(redisUrl, options);
  onTestFinished(async () => {
    guard.close();
    await database.close();
  });
  const load = async (ids: readonly number[]) => {
    container.loads++;
    return users.load(database, ids);
  };
  const open = (timing: Timing = {}) =>
    new TieredCache({ ...users, memoryEntriesMax, timing: { ...users.timing, ...timing }, load }, guard);
  const container = { guard, database, application, loads: 0, open };
  return container;
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; tookMs: number }> {
  const beganAtMs = performance.now();
  const result = await work();
  return { result, tookMs: performance.now() - beganAtMs };
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
}

/** What reading one user costs without any cache: as a rule, and at its worst on this machine at this time. */
async function measurePostgres({ database }: Container): Promise<{ usualMs: number; slowestMs: number }> {
  await users.load(database, [IN_MEMORY]);
  const costsMs: number[] = [];
  while (costsMs.length < 30) {
    costsMs.push((await timed(() => users.load(database, [nextId++]))).tookMs);
  }
  return { usualMs: median(costsMs), slowestMs: Math.max(...costsMs) };
}

const missCostMs = async (cache: TieredCache<number>) => {
  const { result, tookMs } = await timed(() => cache.get(nextId++));
  expect(result.layer).toBe('miss');
  return tookMs;
};

/** One miss after the other; what each cost. */
async function missFor(durationMs: number, cache: TieredCache<number>): Promise<number[]> {
  const untilMs = Date.now() + durationMs;
  const costsMs: number[] = [];
  while (Date.now() < untilMs) costsMs.push(await missCostMs(cache));
  return costsMs;
}

/** The most connections to PostgreSQL that were open while `work` went on. */
async function countConnections({ application }: Container, work: Promise<unknown>): Promise<number> {
  let isDone = false;
  let most = 0;
  const finished = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const sql = 'SELECT FROM pg_stat_activity WHERE application_name = $1';
    most = Math.max(most, (await admin.query(sql, [application])).rowCount ?? 0);
  }
  await finished;
  return most;
}

/** By name, how often the server was asked for it. */
async function commandCalls(redis: Redis): Promise<Record<string, number>> {
  const info = await redis.info('commandstats');
  const found = info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  return Object.fromEntries([...found].map(([, name, calls]) => [name, Number(calls)]));
}

function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, calls]) => [name, calls - (before[name] ?? 0)]),
  );
}

async function loadingOf(redis: Redis): Promise<boolean> {
  return (await redis.info('persistence')).includes('\r\nloading:1');
}

/** A Redis to break, a way round the breakage, and the address that the container under test uses. */
type Stage = { own: OwnRedis; readonly admin: Redis; readonly proxy: SlowProxy };
/** Begins the fault; what it answers ends it. */
type Fault = (stage: Stage) => Promise<() => Promise<unknown>>;

const refused: Fault = async (stage) => {
  await stage.own.stop();
  return async () => {
    stage.own = await startOwnRedis({ port: stage.own.port });
  };
};

const frozen: Fault = async ({ own }) => {
  own.freeze();
  return async () => own.thaw();
};

const slow: Fault = async ({ proxy }) => {
  proxy.slow(300);
  return () => proxy.recover();
};

const full: Fault = async ({ admin: redis }) => {
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  await redis.config('SET', 'maxmemory', '1');
  return () => redis.config('SET', 'maxmemory', '0');
};

const readOnly: Fault = async ({ admin: redis }) => {
  await redis.replicaof('127.0.0.1', 1); // where nobody is
  return () => redis.replicaof('NO', 'ONE');
};

const locked: Fault = async ({ admin: redis }) => {
  await redis.config('SET', 'requirepass', 'unknown-to-the-container');
  await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  return () => redis.config('SET', 'requirepass', '');
};

/** A replica loads what its primary sends: slowly here, and it looks after its clients every few keys. */
const loading: Fault = async ({ admin: redis }) => {
  const primary = await startOwnRedis();
  onTestFinished(() => primary.stop());
  await fill(primary.url);
  await redis.config('SET', 'repl-diskless-load', 'disabled');
  await redis.config('SET', 'loading-process-events-interval-bytes', '1024');
  await redis.config('SET', 'key-load-delay', '1000');
  await redis.replicaof('127.0.0.1', primary.port);
  await expect.poll(() => loadingOf(redis), { timeout: 10_000 }).toBe(true);
  return async () => {
    await redis.config('SET', 'key-load-delay', '0');
    await expect.poll(() => loadingOf(redis), { timeout: 10_000 }).toBe(false);
    await redis.replicaof('NO', 'ONE');
  };
};

/** At a millisecond for each key, more than any test waits. */
async function fill(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl);
  await redis.config('SET', 'repl-diskless-sync-delay', '0');
  await redis.config('SET', 'rdbcompression', 'no');
  const lua = "for i = 1, 20000 do redis.call('SET', 'filler:' .. i, string.rep('x', 200)) end";
  await redis.eval(lua, 0);
  redis.disconnect();
}

const FAULTS: readonly { readonly what: string; readonly fault: Fault; readonly isSlow?: boolean }[] = [
  { what: 'refuses connections', fault: refused },
  { what: 'is frozen', fault: frozen },
  { what: 'takes 300 ms for each command', fault: slow, isSlow: true },
  { what: 'is full (OOM)', fault: full },
  { what: 'has become a replica (READONLY)', fault: readOnly },
  { what: 'is loading (LOADING)', fault: loading },
  { what: 'wants a password (NOAUTH)', fault: locked },
];

describe('a Redis', () => {
  let stage: Stage;

  beforeEach(async () => {
    const own = await startOwnRedis();
    stage = { own, admin: new Redis(own.url), proxy: await openSlowProxy(own.url) };
    stage.admin.on('error', () => {}); // it is stopped in some tests
  });
  afterEach(async () => {
    stage.admin.disconnect();
    await stage.proxy.close();
    await stage.own.stop();
  });

  /** Reads come from Redis again: what one cache stores, another one of the same container finds there. */
  async function expectRecovery(container: Container): Promise<void> {
    const [writer, reader] = [container.open(), container.open()];
    const layerOfNext = async () => {
      const id = nextId++;
      await writer.get(id);
      return (await reader.get(id)).layer;
    };
    await expect.poll(layerOfNext, { timeout: RECOVERY_MS, interval: 50 }).toBe('l2');
  }

  it.each(FAULTS)(
    'that $what costs one timeout, then nothing, and is used again soon after',
    async ({ fault, isSlow }) => {
      const container = openContainer(isSlow ? stage.proxy.url : stage.own.url);
      const cache = container.open();
      await cache.get(IN_MEMORY);
      const { usualMs, slowestMs } = await measurePostgres(container);
      const end = await fault(stage);

      const inMemory = await timed(() => cache.get(IN_MEMORY));
      const firstMs = inMemory.tookMs + (await missCostMs(cache));
      expect(inMemory.result.layer).toBe('l1');
      expect(firstMs - slowestMs).toBeLessThan(FIRST_MISS_EXTRA_MS);
      const laterMs = await missFor(OUTAGE_MS, cache);
      expect(median(laterMs) - usualMs).toBeLessThan(LATER_MISS_EXTRA_MS);
      expect(await cache.get(IN_MEMORY)).toMatchObject({ layer: 'l1' });

      const atOnce = Promise.all(Array.from({ length: 50 }, () => missCostMs(cache)));
      expect(await countConnections(container, atOnce)).toBeLessThanOrEqual(DATABASE_CONNECTIONS);
      await end();
      await expectRecovery(container);
    },
  );

  it.each([
    { what: 'is frozen', fault: frozen },
    { what: 'takes 300 ms for each command', fault: slow },
  ])('that $what is asked by one read, then by one probe at a time', async ({ fault }) => {
    const container = openContainer(stage.proxy.url);
    const cache = container.open();
    await cache.get(IN_MEMORY);
    const before = await commandCalls(stage.admin);
    const end = await fault(stage);
    const beganAtMs = Date.now();
    await missCostMs(cache);
    await Promise.all(Array.from({ length: 50 }, () => missCostMs(cache)));
    await missFor(OUTAGE_MS, cache);
    const lastedMs = Date.now() - beganAtMs;
    await end();
    const { ping, info: _ownCall, ...others } = difference(await commandCalls(stage.admin), before);
    expect(ping).toBeLessThanOrEqual(Math.ceil(lastedMs / REQUEST_GUARD.probeAfterMs));
    expect(sum(Object.values(others))).toBeLessThanOrEqual(ONE_READ_COMMANDS_MAX);
  });

  it('that takes 60 ms for each command, which is in time, costs a miss less than four round trips', async () => {
    const container = openContainer(stage.proxy.url);
    const cache = container.open();
    await cache.get(IN_MEMORY);
    const { usualMs } = await measurePostgres(container);
    stage.proxy.slow(60);
    const costsMs: number[] = [];
    while (costsMs.length < 5) costsMs.push(await missCostMs(cache));
    expect(median(costsMs) - usualMs).toBeLessThan(4 * 60);
  });

  it('that is frozen does not cost a busy container its memory', async () => {
    const container = openContainer(stage.own.url);
    const cache = container.open();
    await cache.get(IN_MEMORY);
    stage.own.freeze();
    await cache.get(nextId++);
    const layers = new Set<string>();
    const startedAtMs = performance.now();
    while (performance.now() - startedAtMs < 2_500) {
      layers.add((await cache.get(IN_MEMORY)).layer);
      await sleep(30);
    }
    expect([...layers]).toEqual(['l1']);
  });

  it('that came back while a container was idle is asked before that one answers what it had', async () => {
    const [idle, other] = [openContainer(stage.own.url), openContainer(stage.own.url)];
    const load = async (ids: readonly number[]) => {
      const loaded = await users.load(idle.database, ids);
      await sleep(400); // longer than a stale value waits for
      return loaded;
    };
    const cache = new TieredCache({ ...users, load }, idle.guard);
    await cache.get(IN_MEMORY);
    stage.own.freeze();
    await cache.get(nextId++);
    stage.own.thaw();
    await admin.query(`UPDATE users SET bio = 'changed' WHERE id = ${IN_MEMORY}`);
    await expect
      .poll(() =>
        other
          .open()
          .invalidate([IN_MEMORY], 1)
          .then(
            () => 'told',
            () => 'not yet',
          ),
      )
      .toBe('told');
    await other.open().invalidate([IN_MEMORY], await other.database.nowUs());
    await sleep(1_100);
    expect((await cache.get(IN_MEMORY)).json).toContain('"bio":"changed"');
  });

  it('that is full is still read from', async () => {
    const container = openContainer(stage.own.url);
    await container.open().get(IN_MEMORY);
    await full(stage);
    const cache = container.open();
    await cache.get(nextId++);
    expect(await cache.get(IN_MEMORY)).toMatchObject({ layer: 'l2' });
  });

  it('that is full can be cleared, and takes invalidations', async () => {
    const container = openContainer(stage.own.url);
    const [cache, other] = [container.open(), container.open()];
    const [cleared, invalidated] = [IN_MEMORY, nextId++];
    for (const id of [cleared, invalidated]) await other.get(id);
    await full(stage);
    await cache.invalidate([invalidated], await container.database.nowUs());
    expect(await container.open().get(invalidated)).toMatchObject({ layer: 'miss' });
    expect(await container.open().get(cleared)).toMatchObject({ layer: 'l2' });
    await cache.clear();
    expect(await container.open().get(cleared)).toMatchObject({ layer: 'miss' });
  });

  it('that is loading when a container starts is used soon after it has loaded', async () => {
    const end = await loading(stage);
    const container = openContainer(stage.own.url);
    await container.guard.connect(REQUEST_GUARD.timeoutMs);
    await missFor(OUTAGE_MS, container.open());
    await end();
    await expectRecovery(container);
  });

  it.each([
    { failing: 'SET', other: 'GET' },
    { failing: 'GET', other: 'SET' },
  ] as const)(
    'that leaves a $failing without an answer is not asked by a $other',
    async ({ failing, other }) => {
      const { guard } = openContainer(stage.own.url);
      const commands = {
        GET: () => guard.run((redis) => redis.get('key')),
        SET: () => guard.run((redis) => redis.set('key', 'value')),
      };
      await commands.SET();
      await commands.GET();
      const before = await commandCalls(stage.admin);
      stage.own.freeze();
      await expect(commands[failing]()).rejects.toBeInstanceOf(RedisUnavailableError);
      const refusal = await timed(() => expect(commands[other]()).rejects.toThrow('known not to answer'));
      expect(refusal.tookMs).toBeLessThan(REQUEST_GUARD.timeoutMs / 2);
      stage.own.thaw();
      const after = await commandCalls(stage.admin);
      expect(after[other.toLowerCase()]).toBe(before[other.toLowerCase()]);
    },
  );
});

describe('a PostgreSQL', () => {
  /** Stale at once, and usable for long. */
  const expired: Timing = { freshMs: 0, graceMs: 60_000 };
  const ANSWER_WITHIN_MS = 5_000;
  let proxy: SlowProxy;
  let container: Container;

  beforeEach(async () => {
    proxy = await openSlowProxy(servers.databaseUrl);
    onTestFinished(() => proxy.close());
    container = openContainer(servers.redisUrl, { databaseUrl: proxy.url, guard: PATIENT });
    await container.guard.run((redis) => redis.flushdb());
  });

  const outages = [
    { what: 'refuses connections', begin: () => proxy.refuse() },
    { what: 'does not answer', begin: async () => proxy.hang() },
  ];
  const layersOf = (reads: readonly CacheRead[]) => reads.map(({ layer }) => layer);

  it.each(outages)('that $what is replaced by what is stale, and said to be', async ({ begin }) => {
    const fresh = await container.open(expired).getMany([2, 3, 4]);
    await begin();
    const cache = container.open();
    const { result, tookMs } = await timed(() => cache.get(2));
    expect(result).toEqual({ json: fresh[0]?.json, layer: 'stale' });
    expect(tookMs).toBeLessThan(1_000);
    const several = await timed(() => cache.getMany([3, 4]));
    expect(layersOf(several.result)).toEqual(['stale', 'stale']);
    expect(several.tookMs).toBeLessThan(1_000);
    expect(cache.counts.stale).toBe(3);
  });

  it.each(outages)(
    'that $what fails a read in time, and the next one after it is back succeeds',
    async ({ begin }) => {
      const cache = container.open();
      await cache.get(IN_MEMORY);
      await begin();
      const id = nextId++;
      const { tookMs } = await timed(() => expect(cache.get(id)).rejects.toThrow(DatabaseUnavailableError));
      expect(tookMs).toBeLessThan(ANSWER_WITHIN_MS);
      expect(['l1', 'l2']).toContain((await cache.get(IN_MEMORY)).layer);
      await proxy.recover();
      const recovered = await timed(() => cache.get(id));
      expect(recovered.result).toEqual({ json: expect.any(String), layer: 'miss' });
      expect(recovered.tookMs).toBeLessThan(500);
    },
  );

  it.each(outages)(
    'that $what fails a read of several in time, and the next one succeeds',
    async ({ begin }) => {
      const cache = container.open();
      await container.open(expired).get(5);
      await begin();
      const ids = [5, nextId++, nextId++];
      const { tookMs } = await timed(() =>
        expect(cache.getMany(ids)).rejects.toThrow(DatabaseUnavailableError),
      );
      expect(tookMs).toBeLessThan(ANSWER_WITHIN_MS);
      await proxy.recover();
      const recovered = await timed(() => cache.getMany(ids));
      expect(layersOf(recovered.result).slice(1)).toEqual(['miss', 'miss']);
      expect(recovered.tookMs).toBeLessThan(500);
    },
  );

  it('that is away together with Redis is replaced by what is stale in memory', async () => {
    const own = await startOwnRedis();
    onTestFinished(() => own.stop());
    const both = openContainer(own.url, { databaseUrl: proxy.url });
    const cache = both.open({ freshMs: 1, graceMs: 60_000 });
    await cache.get(6);
    await own.stop();
    await proxy.refuse();
    expect(await cache.get(6)).toMatchObject({ layer: 'stale' });
    expect(layersOf(await cache.getMany([6]))).toEqual(['stale']);
  });
});

describe('an entry', () => {
  let container: Container;
  let redis: Redis;
  const keyOf = async (id: number) => {
    const generation = (await redis.get(keys.generation(users.name))) ?? '0';
    return keys.entry(users.name, users.schemaVersion, generation, String(id));
  };

  beforeEach(async () => {
    container = openContainer(servers.redisUrl, { guard: PATIENT });
    redis = new Redis(servers.redisUrl);
    await redis.flushdb();
  });
  afterEach(() => redis.disconnect());

  /** What is put under the key in place of `entry`, which is a good one. */
  const CORRUPT: readonly { what: string; corrupt: (key: string, entry: string) => Promise<unknown> }[] = [
    { what: 'empty', corrupt: (key) => redis.set(key, '') },
    { what: 'something else', corrupt: (key) => redis.set(key, 'garbage') },
    { what: 'not text', corrupt: (key) => redis.set(key, Buffer.from([0xff, 0xfe, 0x00, 0x76, 0x80])) },
    { what: 'cut short', corrupt: (key, entry) => redis.set(key, entry.slice(0, -10)) },
    { what: 'cut short in its header', corrupt: (key, entry) => redis.set(key, entry.slice(0, 20)) },
    { what: 'too long', corrupt: (key, entry) => redis.set(key, `${entry}}`) },
    {
      what: 'of an older form',
      corrupt: (key) => redis.set(key, '{"value":{"id":7},"expiresAt":99999999999999}'),
    },
    {
      what: 'cut short and of a time to come',
      corrupt: (key, entry) => redis.set(key, `${entry.charAt(0)}9${entry.slice(2, -10)}`),
    },
    { what: 'a list', corrupt: (key) => redis.multi().del(key).rpush(key, 'one', 'two').exec() },
    { what: 'a hash', corrupt: (key) => redis.multi().del(key).hset(key, 'field', 'value').exec() },
  ];

  async function corruptEntry(id: number, corrupt: (typeof CORRUPT)[number]['corrupt']): Promise<void> {
    await container.open().get(id);
    const key = await keyOf(id);
    await corrupt(key, (await redis.get(key)) ?? '');
    container.loads = 0;
  }

  it.each(CORRUPT)('that is $what is a miss, is counted, and is replaced', async ({ corrupt }) => {
    await corruptEntry(7, corrupt);
    const cache = container.open();
    expect(await cache.get(7)).toEqual({ json: expect.stringContaining('"id":7,'), layer: 'miss' });
    expect(cache.counts.corrupt).toBe(1);
    expect(await container.open().get(7)).toMatchObject({ layer: 'l2' });
    expect(container.loads).toBe(1);
  });

  it.each(CORRUPT)('that is $what is one miss among several', async ({ corrupt }) => {
    await container.open().getMany([8, 9]);
    await corruptEntry(7, corrupt);
    const cache = container.open();
    const reads = await cache.getMany([8, 7, 9]);
    expect(reads.map((read) => JSON.parse(read.json ?? 'null')?.id)).toEqual([8, 7, 9]);
    expect(reads.map(({ layer }) => layer)).toEqual(['l2', 'miss', 'l2']);
    expect(cache.counts.corrupt).toBe(1);
    expect((await container.open().getMany([8, 7, 9])).map(({ layer }) => layer)).toEqual(['l2', 'l2', 'l2']);
    expect(container.loads).toBe(1);
  });
});
