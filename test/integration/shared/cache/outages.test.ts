/** What an outage costs a reader: Redis refused, frozen, slow, full, a replica, loading or locked; PostgreSQL refused or mute; entries that are none. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Source } from '../../../../shared/cache/source.ts';
import { type CacheRead, TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { DatabaseUnavailableError, RedisUnavailableError, rootCause } from '../../../../shared/errors.ts';
import { Database, type DatabaseOptions } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, type GuardOptions, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { countOutcomes, type RedisOutcomes } from '../../../support/redis-outcomes.ts';
import {
  connectPg,
  type IsolatedServers,
  isolatedServers,
  type OwnRedis,
  startOwnRedis,
} from '../../../support/servers.ts';
import { openSlowProxy, type SlowProxy } from '../../../support/slow-proxy.ts';

const DATABASE_CONNECTIONS = 2;
/** The attempt that finds Redis away, and two of the breaker's probes. */
const ATTEMPTS_OF_AN_OUTAGE = 3;
/** So long after an attempt in vain began, the outage is believed and memory is answered from. */
const OUTAGE_BELIEVED_MS = 1_000;
/** A generation check and the entry itself, which go in one piece as a rule. */
const QUESTIONS_OF_A_READ_MAX = 2;
/** In every command that is about what Prewarm keeps. */
const ANY_KEY = 'prewarm:';
const ROUND_TRIPS_OF_A_MISS_MAX = 3;
const IN_MEMORY = 1;
/** So many misses do not drive it out. */
const memoryEntriesMax = 100_000;

/** For tests in which Redis is well: a busy machine does not make it look otherwise. */
const PATIENT: GuardOptions = { ...REQUEST_GUARD, timeoutMs: 2_000 };
/**
 * For tests in which Redis is well at first: patient enough for a busy machine. Yet two attempts and the time between them
 * are shorter than an outage is believed for, as they are with a request's guard.
 */
const UNHURRIED: GuardOptions = { ...REQUEST_GUARD, timeoutMs: 300, probeAfterMs: 100 };
/** Later than its limit, so that nothing that is late is taken for an answer in time. */
const TOO_LATE_MS = 5_000;
/** Of a PostgreSQL that is well on a busy machine. */
const PATIENT_DATABASE = { connectTimeoutMs: 30_000, statementTimeoutMs: 30_000 };

let servers: IsolatedServers;
let admin: pg.Client;
/** Ids that the test has not read yet. */
let nextId = 0;

beforeAll(async () => {
  servers = await isolatedServers();
  admin = await connectPg(servers.databaseUrl);
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
  /** How each operation on its Redis ended. */
  readonly outcomes: RedisOutcomes;
  loads: number;
  /** The ids of the loads that have ended, well or not. */
  ended: (readonly number[])[];
  open(timing?: Timing): TieredCache<number>;
};

type ContainerOptions = {
  readonly databaseUrl?: string;
  readonly guard?: GuardOptions;
  readonly database?: Partial<DatabaseOptions>;
};

function openContainer(
  redisUrl: string,
  {
    databaseUrl = servers.databaseUrl,
    guard: guardOptions = UNHURRIED,
    database: databaseOptions = PATIENT_DATABASE,
  }: ContainerOptions = {},
): Container {
  const application = `outage-${crypto.randomUUID()}`;
  const url = new URL(databaseUrl);
  url.searchParams.set('application_name', application);
  const database = closedAtEnd(new Database(url.href, databaseOptions));
  const guard = closedAtEnd(new GuardedRedis(redisUrl, guardOptions));
  const load = async (ids: readonly number[]) => {
    container.loads++;
    return users.load(database, ids).finally(() => container.ended.push(ids));
  };
  const open = (timing: Timing = {}) =>
    new TieredCache({ ...users, memoryEntriesMax, timing: { ...users.timing, ...timing }, load }, guard);
  const ended: Container['ended'] = [];
  const container = { guard, database, application, outcomes: countOutcomes(guard), loads: 0, ended, open };
  return container;
}

/** Memory has it, and a generation check has said that it counts: on a busy machine the first read may have gone on without Redis. */
async function remember(cache: TieredCache<number>): Promise<void> {
  await expect.poll(async () => (await cache.get(IN_MEMORY)).layer).toBe('l1');
}

async function miss(cache: TieredCache<number>): Promise<void> {
  expect(await cache.get(nextId++)).toMatchObject({ layer: 'miss' });
}

/** One miss after the other until Redis was asked in vain so often, by its guard's probes too. */
async function missUntilAttempts(attempts: number, { outcomes }: Container, cache: TieredCache<number>) {
  while (outcomes.attemptsInVainMs.size < attempts) {
    await miss(cache);
    await sleep(5); // leaves the processors to others
  }
}

/**
 * Reads, in an outage, what is in memory: where it came from. Undefined when memory need not have it: this process stood
 * still for so long that the last attempt in vain, as far as it was told of, is too long ago.
 */
async function layerOfRemembered({ outcomes }: Container, cache: TieredCache<number>) {
  const told = Math.max(...outcomes.attemptsInVainMs);
  const { layer } = await cache.get(IN_MEMORY);
  // Without one before, this read itself may have made the first.
  const attemptedAtMs = Number.isFinite(told) ? told : Math.min(...outcomes.attemptsInVainMs);
  return Date.now() - attemptedAtMs < OUTAGE_BELIEVED_MS ? layer : undefined;
}

/** A Redis that is of use has it as well, and is asked for it when a generation check is due. */
async function expectInMemory(
  container: Container,
  cache: TieredCache<number>,
  isOfUse = false,
): Promise<void> {
  let layer: string | undefined;
  while (layer === undefined) layer = await layerOfRemembered(container, cache);
  expect(isOfUse ? ['l1', 'l2'] : ['l1']).toContain(layer);
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

async function pingsOf(redis: Redis): Promise<number> {
  return (await commandCalls(redis))['ping'] ?? 0;
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
  proxy.slow(TOO_LATE_MS);
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
  await fill(primary.url);
  await redis.config('SET', 'repl-diskless-load', 'disabled');
  await redis.config('SET', 'loading-process-events-interval-bytes', '1024');
  await redis.config('SET', 'key-load-delay', '1000');
  await redis.replicaof('127.0.0.1', primary.port);
  await expect.poll(() => loadingOf(redis)).toBe(true);
  return async () => {
    await redis.config('SET', 'key-load-delay', '0');
    await expect.poll(() => loadingOf(redis)).toBe(false);
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

type FaultCase = {
  readonly what: string;
  readonly fault: Fault;
  readonly isSlow?: boolean;
  /** It answers a probe, so it is asked again after each. */
  readonly answersProbes?: boolean;
  /** It refuses writes only, so nobody goes on without it. */
  readonly isOfUse?: boolean;
};

const FAULTS: readonly FaultCase[] = [
  { what: 'refuses connections', fault: refused },
  { what: 'is frozen', fault: frozen },
  { what: 'takes too long for each command', fault: slow, isSlow: true },
  { what: 'is full (OOM)', fault: full, isOfUse: true },
  { what: 'has become a replica (READONLY)', fault: readOnly, answersProbes: true },
  { what: 'is loading (LOADING)', fault: loading },
  { what: 'wants a password (NOAUTH)', fault: locked },
];

describe('a Redis', () => {
  let stage: Stage;

  beforeEach(async () => {
    const own = await startOwnRedis();
    stage = { own, admin: closedAtEnd(new Redis(own.url)), proxy: await openSlowProxy(own.url) };
    stage.admin.on('error', () => {}); // it is stopped in some tests
  });

  /** Reads come from Redis again: what one cache stores, another one of the same container finds there. */
  async function expectRecovery(container: Container): Promise<void> {
    const [writer, reader] = [container.open(), container.open()];
    const layerOfNext = async () => {
      const id = nextId++;
      await writer.get(id);
      return (await reader.get(id)).layer;
    };
    await expect.poll(layerOfNext, { interval: 50 }).toBe('l2');
  }

  it.each(FAULTS)(
    'that $what is waited for once at most, costs later readers nothing, and is used again when it is well',
    async ({ fault, isSlow, answersProbes, isOfUse }) => {
      const container = openContainer(isSlow ? stage.proxy.url : stage.own.url);
      const { outcomes } = container;
      const cache = container.open();
      await remember(cache);
      const [before, pingsBefore] = [{ ...outcomes }, await pingsOf(stage.admin)];
      const end = await fault(stage);

      await expectInMemory(container, cache, isOfUse);
      await miss(cache);
      expect(outcomes.waitsInVain - before.waitsInVain).toBeLessThanOrEqual(1);
      if (isOfUse) for (let misses = 0; misses < 20; misses++) await miss(cache);
      else await missUntilAttempts(ATTEMPTS_OF_AN_OUTAGE, container, cache);
      await expectInMemory(container, cache, isOfUse);
      const atOnce = Promise.all(Array.from({ length: 50 }, () => miss(cache)));
      expect(await countConnections(container, atOnce)).toBeLessThanOrEqual(DATABASE_CONNECTIONS);

      const probesAnswered = answersProbes ? (await pingsOf(stage.admin)) - pingsBefore : 0;
      expect(outcomes.waitsInVain - before.waitsInVain).toBeLessThanOrEqual(1 + probesAnswered);
      const misledMax = ROUND_TRIPS_OF_A_MISS_MAX * probesAnswered;
      if (!isOfUse) expect(outcomes.waits - before.waits).toBeLessThanOrEqual(1 + misledMax);
      await end();
      await expectRecovery(container);
    },
  );

  it.each([
    { what: 'is frozen', fault: frozen },
    { what: 'takes too long for each command', fault: slow },
  ])('that $what is asked by one read, then by one probe at a time', async ({ fault }) => {
    const container = openContainer(stage.proxy.url);
    const cache = container.open();
    await remember(cache);
    await fault(stage);
    const [pings, questions] = [stage.proxy.timesOf('ping\r\n'), stage.proxy.timesOf(ANY_KEY)];
    await miss(cache);
    await Promise.all(Array.from({ length: 50 }, () => miss(cache)));
    await missUntilAttempts(ATTEMPTS_OF_AN_OUTAGE, container, cache);
    // The read's own attempt is one of them, and one more probe may be under way.
    expect(pings.length).toBeLessThanOrEqual(container.outcomes.attemptsInVainMs.size);
    expect(pings.length).toBeGreaterThan(0);
    expect(questions.length).toBeLessThanOrEqual(QUESTIONS_OF_A_READ_MAX);
  });

  it('that is far away, yet in time, costs a miss three round trips at most', async () => {
    const container = openContainer(stage.proxy.url, { guard: PATIENT });
    const cache = container.open();
    await remember(cache);
    stage.proxy.slow(60);
    const { outcomes } = container;
    const before = { ...outcomes };
    for (let misses = 0; misses < 5; misses++) await miss(cache);
    expect(outcomes.waitedInVain + outcomes.refusedAtOnce).toBe(0);
    expect(outcomes.waits - before.waits).toBeLessThanOrEqual(5 * ROUND_TRIPS_OF_A_MISS_MAX);
  });

  it('that is frozen does not cost a busy container its memory', async () => {
    const container = openContainer(stage.own.url);
    const cache = container.open();
    await remember(cache);
    stage.own.freeze();
    await miss(cache);
    const layers = new Set<string>();
    while (container.outcomes.attemptsInVainMs.size < 2 * ATTEMPTS_OF_AN_OUTAGE) {
      const layer = await layerOfRemembered(container, cache);
      if (layer !== undefined) layers.add(layer);
      await sleep(5);
    }
    expect([...layers]).toEqual(['l1']);
  });

  it('that came back while a container was idle is asked before that one answers what it had', async () => {
    const idle = openContainer(stage.own.url);
    const other = openContainer(stage.own.url, { guard: PATIENT });
    const load = async (ids: readonly number[]) => {
      const loaded = await users.load(idle.database, ids);
      await sleep(400); // longer than a stale value waits for
      return loaded;
    };
    const cache = new TieredCache({ ...users, load }, idle.guard);
    await remember(cache);
    stage.own.freeze();
    await cache.get(nextId++);
    stage.own.thaw();
    await admin.query(`UPDATE users SET bio = 'changed' WHERE id = ${IN_MEMORY}`);
    await other.open().invalidate([IN_MEMORY], await other.database.nowUs());
    await sleep(OUTAGE_BELIEVED_MS + 100);
    expect((await cache.get(IN_MEMORY)).json).toContain('"bio":"changed"');
  });

  it('that is full is still read from', async () => {
    const container = openContainer(stage.own.url, { guard: PATIENT });
    await container.open().get(IN_MEMORY);
    await full(stage);
    const cache = container.open();
    await cache.get(nextId++);
    expect(await cache.get(IN_MEMORY)).toMatchObject({ layer: 'l2' });
  });

  it('that is full can be cleared, and takes invalidations', async () => {
    const container = openContainer(stage.own.url, { guard: PATIENT });
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

  it('that is loading when a container starts is used when it has loaded', async () => {
    const end = await loading(stage);
    const container = openContainer(stage.own.url);
    await container.guard.connect(UNHURRIED.timeoutMs);
    await missUntilAttempts(ATTEMPTS_OF_AN_OUTAGE, container, container.open());
    await end();
    await expectRecovery(container);
  });

  it.each([
    { failing: 'SET', other: 'GET' },
    { failing: 'GET', other: 'SET' },
  ] as const)(
    'that leaves a $failing without an answer is not asked by a $other',
    async ({ failing, other }) => {
      const { guard, outcomes } = openContainer(stage.own.url);
      const commands = {
        GET: () => guard.run((redis) => redis.get('key')),
        SET: () => guard.run((redis) => redis.set('key', 'value')),
      };
      await commands.SET();
      await commands.GET();
      const before = await commandCalls(stage.admin);
      stage.own.freeze();
      await expect(commands[failing]()).rejects.toBeInstanceOf(RedisUnavailableError);
      await expect(commands[other]()).rejects.toThrow('known not to answer');
      expect(outcomes).toMatchObject({ waitedInVain: 1, refusedAtOnce: 1 });
      stage.own.thaw();
      const after = await commandCalls(stage.admin);
      expect(after[other.toLowerCase()]).toBe(before[other.toLowerCase()]);
    },
  );
});

describe('a PostgreSQL', () => {
  /** Stale at once, and usable for long. */
  const expired: Timing = { freshMs: 0, graceMs: 60_000 };
  /** Longer than a stale value waits for a newer one. */
  const limits = { connectTimeoutMs: 3_000, statementTimeoutMs: 3_000 };
  let proxy: SlowProxy;
  let container: Container;

  beforeEach(async () => {
    proxy = await openSlowProxy(servers.databaseUrl);
    container = openContainer(servers.redisUrl, {
      databaseUrl: proxy.url,
      guard: PATIENT,
      database: limits,
    });
    await container.guard.run((redis) => redis.flushdb());
  });

  const outages = [
    { what: 'refuses connections', begin: () => proxy.refuse(), cause: /ECONNREFUSED/ },
    { what: 'does not answer', begin: async () => proxy.hang(), cause: /timeout/ },
  ];
  const layersOf = (reads: readonly CacheRead[]) => reads.map(({ layer }) => layer);

  it.each(outages)('that $what is replaced by what is stale, and said to be', async ({ begin }) => {
    const fresh = await container.open(expired).getMany([2, 3, 4]);
    await begin();
    const cache = container.open();
    expect(await cache.get(2)).toEqual({ json: fresh[0]?.json, layer: 'stale' });
    expect(layersOf(await cache.getMany([3, 4]))).toEqual(['stale', 'stale']);
    expect(cache.counts.stale).toBe(3);
  });

  it('that does not answer is given up for what is stale while its own limits run on', async () => {
    await container.open(expired).getMany([2, 3, 4]);
    container.ended.length = 0;
    proxy.hang();
    const cache = container.open();
    await cache.get(2);
    expect(container.ended).not.toContainEqual([2]);
    await cache.getMany([3, 4]);
    expect(container.ended).not.toContainEqual([3, 4]);
  });

  /** How often it was asked for rows, from now on: a statement that never left does not count. */
  const statements = () => proxy.timesOf('WITH ORDINALITY');

  it.each(outages)(
    'that $what fails a read after one attempt, and the next one after it is back succeeds at its first',
    async ({ begin, cause }) => {
      const cache = container.open();
      await remember(cache);
      await begin();
      container.loads = 0;
      const id = nextId++;
      const asked = statements();
      const failure = await cache.get(id).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(DatabaseUnavailableError);
      expect(rootCause(failure)).toMatch(cause);
      expect(container.loads).toBe(1);
      expect(asked.length).toBeLessThanOrEqual(1);
      expect(['l1', 'l2']).toContain((await cache.get(IN_MEMORY)).layer);
      await proxy.recover();
      const askedAgain = statements();
      expect(await cache.get(id)).toEqual({ json: expect.any(String), layer: 'miss' });
      expect([container.loads, askedAgain.length]).toEqual([2, 1]);
    },
  );

  it.each(outages)(
    'that $what fails a read of several after one attempt, and the next one succeeds at its first',
    async ({ begin, cause }) => {
      const cache = container.open();
      await container.open(expired).get(5);
      await begin();
      container.loads = 0;
      const ids = [5, nextId++, nextId++];
      const failure = await cache.getMany(ids).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(DatabaseUnavailableError);
      expect(rootCause(failure)).toMatch(cause);
      expect(container.loads).toBe(1);
      await proxy.recover();
      const asked = statements();
      expect(layersOf(await cache.getMany(ids)).slice(1)).toEqual(['miss', 'miss']);
      expect([container.loads, asked.length]).toEqual([2, 1]);
    },
  );

  it.each(outages)(
    'that $what leaves of several those that are cached, and names no others',
    async ({ begin }) => {
      const cache = container.open();
      await cache.getMany([7, 8]);
      await begin();
      const unknown = nextId++;
      const { reads, failure } = await container.open().getKnown([7, unknown, 8]);
      expect(reads.map((read) => read?.layer)).toEqual(['l2', undefined, 'l2']);
      expect(failure).toBeInstanceOf(DatabaseUnavailableError);
      expect((await container.open().getKnown([unknown])).reads).toEqual([undefined]);
    },
  );

  it('that is away together with Redis is replaced by what is stale in memory', async () => {
    const own = await startOwnRedis();
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
    redis = closedAtEnd(new Redis(servers.redisUrl));
    await redis.flushdb();
  });

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
