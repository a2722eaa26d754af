/** The read path on a real Redis and a real PostgreSQL: what is found where, and that nothing older is ever served. */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { decodeEntry, type Entry, encodeEntry } from '../../../../shared/cache/entry.ts';
import type { Source } from '../../../../shared/cache/source.ts';
import { type CacheRead, TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { DatabaseUnavailableError, RedisUnavailableError, StandbyError } from '../../../../shared/errors.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { openExecuteGate } from '../../../support/execute-gate.ts';
import { keys } from '../../../support/keys.ts';
import { connectPg, type IsolatedServers, isolatedServers, startOwnRedis } from '../../../support/servers.ts';
import { nameOf, renameUser } from '../../../support/user-names.ts';

/** For a Redis that is well: a busy machine does not make it look otherwise. */
const PATIENT = { ...REQUEST_GUARD, timeoutMs: 2_000 };
/** What was cached before a clear or an invalidation is answered by nobody so long after it was answered. */
const PROMISE_MS = 1_000;
/** How long the one who refreshes what is stale waits for it. */
const REFRESH_WAIT_MS = 250;

let servers: IsolatedServers;
let database: Database;
let redis: GuardedRedis;
let admin: pg.Client;

/** Every load goes to Postgres; `before` and `after` let a test act in the middle of one. */
class Loads {
  count = 0;
  before: () => Promise<void> = async () => {};
  after: () => Promise<void> = async () => {};

  /** Loads stop before they read, until `release`; `held` resolves when the first has stopped. */
  hold(): { readonly held: Promise<void>; readonly release: () => void } {
    const [held, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.before = () => {
      held.resolve();
      return open.promise;
    };
    return { held: held.promise, release: open.resolve };
  }

  source(overrides: Partial<Source<number>['timing']> = {}): Source<number> {
    return {
      ...users,
      timing: { ...users.timing, ...overrides },
      load: async (ids) => {
        this.count++;
        await this.before();
        const loaded = await users.load(database, ids);
        await this.after();
        return loaded;
      },
    };
  }
}

function open(loads: Loads, overrides: Partial<Source<number>['timing']> = {}): TieredCache<number> {
  return new TieredCache(loads.source(overrides), redis);
}

/** Makes `redis` one that no other test file uses, so that commands can be counted. */
async function useOwnRedis(): Promise<void> {
  const own = await startOwnRedis();
  redis.close();
  redis = closedAtEnd(new GuardedRedis(own.url, PATIENT));
}

/** How often Redis was asked for the command. */
async function calls(command: string): Promise<number> {
  const info = await redis.run((client) => client.info('commandstats'));
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
}

/** Resolves when `asked` more have tried to lead a load since it was tried `before` times. */
const untilLeadWasTried = (before: number, asked: number) =>
  expect.poll(() => calls('set'), { interval: 5 }).toBeGreaterThanOrEqual(before + asked);

const rename = (id: number, name: string) => renameUser(admin, id, name);

/**
 * From now on nobody's wait ends by itself, unless a test lets time pass. The wall clock goes on. (`expect.poll` would let
 * time pass.)
 */
function stopTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
}

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
  admin = await connectPg(servers.databaseUrl);
});
beforeEach(async () => {
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, PATIENT));
  await redis.run((client) => client.flushdb());
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a read', () => {
  it('goes to Postgres once, then to Redis from another container, then to memory', async () => {
    const first = new Loads();
    const second = new Loads();
    expect(await open(first).get(7)).toMatchObject({ layer: 'miss' });
    const other = open(second);
    expect(await other.get(7)).toMatchObject({ layer: 'l2' });
    expect(other.probe(7)).toMatchObject({ layer: 'l1' });
    expect([first.count, second.count]).toEqual([1, 0]);
  });

  it('answers the text that Postgres wrote', async () => {
    const read = await open(new Loads()).get(1);
    expect(JSON.parse(read.json ?? '')).toMatchObject({ id: 1, username: expect.any(String) });
    const again = await open(new Loads()).get(1);
    expect(again.json).toBe(read.json);
  });

  it('remembers that there is no such user, for a time of its own', async () => {
    const loads = new Loads();
    const cache = open(loads);
    expect(await cache.get(99_999)).toEqual({ json: null, layer: 'miss' });
    expect(await cache.get(99_999)).toEqual({ json: null, layer: 'l1' });
    expect(loads.count).toBe(1);
  });

  it('is counted by layer', async () => {
    const cache = open(new Loads());
    await cache.get(3);
    await cache.get(3);
    cache.probe(3);
    expect(cache.counts).toMatchObject({ miss: 1, l1: 2, l2: 0 });
  });

  it('of one key by a hundred callers loads once', async () => {
    const loads = new Loads();
    const cache = open(loads);
    const reads = await Promise.all(Array.from({ length: 100 }, () => cache.get(11)));
    expect(new Set(reads.map((read) => read.json)).size).toBe(1);
    expect(loads.count).toBe(1);
  });

  it('of one key by several containers loads once', async () => {
    await useOwnRedis();
    const loads = new Loads();
    const { release } = loads.hold();
    const caches = Array.from({ length: 5 }, () => open(loads));
    const before = await calls('set');
    const reads = Promise.all(caches.flatMap((cache) => [cache.get(12), cache.get(12)]));
    await untilLeadWasTried(before, caches.length);
    release();
    expect(new Set((await reads).map(({ json }) => json)).size).toBe(1);
    expect(loads.count).toBe(1);
  });

  it('that fails fails for all who wait, after one load, and is not remembered', async () => {
    const loads = new Loads();
    loads.before = async () => {
      throw new DatabaseUnavailableError('down');
    };
    const cache = open(loads);
    const reads = await Promise.allSettled(Array.from({ length: 100 }, () => cache.get(13)));
    expect(reads.every((read) => read.status === 'rejected')).toBe(true);
    expect(loads.count).toBe(1);
    loads.before = async () => {};
    expect(await cache.get(13)).toMatchObject({ layer: 'miss' });
  });

  it.each([
    { values: ['{}'], readAtUs: 1, expected: '2 values, one for each id, not 1' },
    { values: ['{}', '{}'], readAtUs: Number.NaN, expected: 'when the database began to read' },
  ])('refuses a loader that answers $values and $readAtUs', async ({ values, readAtUs, expected }) => {
    const source = { ...new Loads().source(), load: async () => ({ values, readAtUs }) };
    await expect(new TieredCache(source, redis).getMany([22, 23])).rejects.toThrow(expected);
  });

  it('of several keys in one turn is one command to Redis, where hits are expected', async () => {
    await useOwnRedis();
    const loads = new Loads();
    const others = Array.from({ length: 50 }, (_, index) => 100 + index);
    await open(loads).getMany([24, 25, 26, ...others]);
    const cache = open(loads);
    await cache.getMany(others);
    const before = await calls('mget');
    const reads = await Promise.all([24, 25, 26, 24].map((id) => cache.get(id)));
    expect(await calls('mget')).toBe(before + 1);
    expect(reads.map(({ layer }) => layer)).toEqual(['l2', 'l2', 'l2', 'l2']);
    expect(reads[3]?.json).toBe(reads[0]?.json);
  });

  it('of a list counts each key once, however often it is named: what is warmed is not for one caller to say', async () => {
    const cache = open(new Loads());
    const named = Array.from({ length: 100 }, (_, place) => (place % 2 === 0 ? 28 : 29));
    const reads = await cache.getMany(named);
    expect(reads.map(({ json }) => (JSON.parse(json ?? '') as { id: number }).id)).toEqual(named);
    expect(cache.takeReads()).toEqual(
      new Map([
        ['28', 1],
        ['29', 1],
      ]),
    );
  });

  it.each(['', 'garbage', 'v000'])('that finds %j in Redis loads and replaces it', async (text) => {
    const loads = new Loads();
    const generation = await open(loads).currentGeneration();
    await redis.run((client) => client.set(keys.entry('users', users.schemaVersion, generation, '21'), text));
    const cache = open(loads);
    expect(await cache.get(21)).toMatchObject({ layer: 'miss' });
    expect(cache.counts.corrupt).toBe(1);
    expect(await open(loads).get(21)).toMatchObject({ layer: 'l2' });
  });
});

describe('several ids', () => {
  it('come in the order asked, from memory, Redis and one statement', async () => {
    const loads = new Loads();
    await open(loads).get(2);
    const cache = open(loads);
    await cache.get(1);
    loads.count = 0;
    const reads = await cache.getMany([3, 1, 2, 99_999, 3]);
    expect(reads.map((read) => JSON.parse(read.json ?? 'null')?.id)).toEqual([3, 1, 2, undefined, 3]);
    expect(reads.map((read) => read.layer)).toEqual(['miss', 'l1', 'l2', 'miss', 'miss']);
    expect(loads.count).toBe(1);
  });

  it('join a load that is under way', async () => {
    const loads = new Loads();
    const cache = open(loads);
    const { release } = loads.hold();
    const reads = Promise.all([cache.get(30), cache.getMany([30]), cache.getMany([30, 31])]);
    await expect.poll(() => loads.count, { interval: 5 }).toBe(2);
    release();
    await reads;
    expect(loads.count).toBe(2);
  });

  it('that several containers miss at once are loaded once', async () => {
    await useOwnRedis();
    const loads = new Loads();
    const { release } = loads.hold();
    const containers = Array.from({ length: 6 }, () => open(loads));
    const before = await calls('set');
    const reads = Promise.all(containers.map((cache) => cache.getMany([81, 82, 81])));
    await untilLeadWasTried(before, 2 * containers.length);
    release();
    expect(new Set((await reads).map((each) => JSON.stringify(each.map(({ json }) => json)))).size).toBe(1);
    expect(loads.count).toBe(1);
  });

  it('that are stale are refreshed by one container, and answered at once by the others', async () => {
    const loads = new Loads();
    await open(loads, { freshMs: 0, graceMs: 60_000 }).getMany([83, 84]);
    loads.count = 0;
    const { release } = loads.hold();
    stopTimers();
    const reads = [open(loads), open(loads)].map((cache) => cache.getMany([83, 84]));
    const first = await Promise.race(reads);
    release();
    expect(loads.count).toBe(1);
    expect(first.map(({ layer }) => layer)).toEqual(['stale', 'stale']);
    expect((await Promise.all(reads)).map((each) => each.map(({ layer }) => layer)).sort()).toEqual([
      ['miss', 'miss'],
      ['stale', 'stale'],
    ]);
  });

  it('fail together when the database is away, and leave no rejection behind', async () => {
    const loads = new Loads();
    loads.before = async () => {
      throw new DatabaseUnavailableError('down');
    };
    await expect(open(loads).getMany([40, 41])).rejects.toBeInstanceOf(DatabaseUnavailableError);
  });

  it('that are loaded while the clock is set back are not remembered', async () => {
    const loads = new Loads();
    const cache = open(loads);
    await cache.get(1);
    const realNow = Date.now;
    const clock = vi.spyOn(Date, 'now');
    onTestFinished(() => clock.mockRestore());
    loads.after = async () => void clock.mockImplementation(() => realNow() - 700);
    await cache.getMany([201, 202, 203]);
    await cache.checkGeneration();
    expect([201, 202, 203].map((id) => cache.probe(id))).toEqual([undefined, undefined, undefined]);
  });
});

describe('order', () => {
  it('keeps a value that was read before an invalidation out, and the caller gets the new one', async () => {
    const loads = new Loads();
    const reader = open(loads);
    const owner = open(new Loads());
    let overtaken = false;
    loads.after = async () => {
      if (overtaken) return;
      overtaken = true;
      await rename(50, 'New Name');
      await owner.invalidate([50], await database.nowUs());
    };
    expect(nameOf(await reader.get(50))).toBe('New Name');
    expect(nameOf(await open(new Loads()).get(50))).toBe('New Name');
    expect(loads.count).toBe(2);
  });

  it('keeps an answer of before an invalidation from its caller, also one that would not be stored', async () => {
    const loads = new Loads();
    const owner = open(new Loads());
    const id = 5_000_001;
    loads.after = async () => {
      if (loads.count > 1) return;
      await admin.query(`INSERT INTO users (id, username, display_name) VALUES (${id}, 'made', 'Just Made')`);
      await owner.invalidate([id], await database.nowUs());
    };
    expect(nameOf(await open(loads).get(id))).toBe('Just Made');
    expect(loads.count).toBe(2);
  });

  it('has what was overtaken loaded by one of all, who may have begun already', async () => {
    await useOwnRedis();
    const [loads, others] = [new Loads(), new Loads()];
    const [owner, other] = [open(new Loads()), open(others)];
    const { held, release } = others.hold();
    const overtaken = Promise.withResolvers<number>();
    let read: Promise<CacheRead> | undefined;
    loads.after = async () => {
      await rename(57, 'Newer');
      await owner.invalidate([57], await database.nowUs());
      read = other.get(57);
      await held;
      overtaken.resolve(await calls('set'));
    };
    const reading = open(loads).get(57);
    const before = await overtaken.promise;
    // It is refused, and then asks for the lease.
    await expect.poll(() => calls('set')).toBeGreaterThanOrEqual(before + 2);
    release();
    expect([nameOf(await reading), nameOf(await (read as Promise<CacheRead>))]).toEqual(['Newer', 'Newer']);
    expect([loads.count, others.count]).toEqual([1, 1]);
  });

  it('takes nothing from a standby', async () => {
    const load = async () => ({ readAtUs: StandbyError.READ_AT_US, values: ['{"id":58}'] });
    await expect(new TieredCache({ ...users, load }, redis).get(58)).rejects.toBeInstanceOf(StandbyError);
  });

  it('keeps out what was seen before an invalidation, however late the statement goes on', async () => {
    const gate = await openExecuteGate(servers.databaseUrl);
    const slow = closedAtEnd(new Database(gate.url, { statementTimeoutMs: 10_000 }));
    const reader = new TieredCache({ ...users, load: (ids) => users.load(slow, ids) }, redis);
    await slow.connect();
    const held = gate.holdNext();
    const read = reader.get(54);
    await held;
    // Its snapshot is taken: from here on it does not see what is committed.
    const snapshots =
      'SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()';
    await expect.poll(async () => (await admin.query(snapshots)).rowCount).toBe(1);
    await rename(54, 'Committed');
    await open(new Loads()).invalidate([54], await database.nowUs());
    gate.release();
    expect(nameOf(await read)).toBe('Committed');
    expect(nameOf(await open(new Loads()).get(54))).toBe('Committed');
  });

  it('keeps a value that was read earlier from replacing one that was read later', async () => {
    const early = new Loads();
    const late = open(new Loads());
    early.after = async () => {
      await rename(51, 'Later');
      // The other container does not wait for the lease of a load that takes so long.
      await late.warm([51]);
    };
    expect(nameOf(await open(early).get(51))).toBe('Later');
    expect(nameOf(await open(new Loads()).get(51))).toBe('Later');
  });

  it('lets a warm-up replace what was read before it and nothing else', async () => {
    const cache = open(new Loads());
    await cache.get(52);
    expect(await cache.warm([52, 53])).toMatchObject({ storedKeys: ['52', '53'], newerStored: 0 });
    const slow = new Loads();
    slow.after = async () => {
      await cache.warm([52]);
    };
    expect(await open(slow).warm([52, 53])).toMatchObject({ storedKeys: { length: 1 }, newerStored: 1 });
  });
});

describe('clear', () => {
  it('makes the next read go to Postgres, here at once and elsewhere a second later', async () => {
    const here = open(new Loads());
    const elsewhere = open(new Loads());
    await here.get(60);
    await elsewhere.get(60);
    await rename(60, 'After Clear');
    await here.clear();
    expect(nameOf(await here.get(60))).toBe('After Clear');
    await sleep(PROMISE_MS + 1); // a timer may be early by one
    expect(nameOf(await elsewhere.get(60))).toBe('After Clear');
  });

  it('hides what a load that began before it stores after it', async () => {
    const loads = new Loads();
    const reader = open(loads);
    loads.after = async () => {
      loads.after = async () => {};
      await rename(61, 'After Clear');
      await open(new Loads()).clear();
    };
    await reader.get(61);
    expect(nameOf(await open(new Loads()).get(61))).toBe('After Clear');
  });

  it('leaves the lock and the limits where they are', async () => {
    await redis.run((client) =>
      Promise.all([
        client.set('cache:warmup:lock', 'trace'),
        client.hset('prewarm:limit:status', 'alice', '3'),
      ]),
    );
    await open(new Loads()).clear();
    expect(await redis.run((client) => client.get('cache:warmup:lock'))).toBe('trace');
    expect(await redis.run((client) => client.hget('prewarm:limit:status', 'alice'))).toBe('3');
  });

  it('of one id has reached the memory of other containers a second later, and leaves other ids alone', async () => {
    const here = open(new Loads());
    const elsewhere = open(new Loads());
    await elsewhere.getMany([62, 63]);
    await rename(62, 'Invalidated');
    await here.invalidate([62], await database.nowUs());
    expect(nameOf(await here.get(62))).toBe('Invalidated');
    await sleep(PROMISE_MS + 1);
    expect(nameOf(await elsewhere.get(62))).toBe('Invalidated');
    expect(elsewhere.probe(63)).toMatchObject({ layer: 'l1' });
  });
});

describe('with a replica', () => {
  it('a clear says whether the replica has heard of it, and is done in both cases', async () => {
    const [primary, replica] = [await startOwnRedis(), await startOwnRedis()];
    const primaryRedis = closedAtEnd(new GuardedRedis(primary.url, PATIENT));
    const replicaRedis = closedAtEnd(new GuardedRedis(replica.url, PATIENT));
    await replicaRedis.run((client) => client.replicaof('127.0.0.1', primary.port));
    const cache = new TieredCache(new Loads().source(), primaryRedis);
    const online = () => replicaRedis.run(async (client) => (await client.role())[3]);
    await expect.poll(online).toBe('connected');
    await expect.poll(() => cache.clear()).toMatchObject({ replicas: 1, replicasAcknowledged: 1 });
    replica.freeze();
    const before = Number((await cache.clear()).generation);
    const { generation, ...replication } = await cache.clear();
    expect(Number(generation)).toBeGreaterThan(before);
    expect(replication).toEqual({ replicas: 1, replicasAcknowledged: 0 });
  });
});

describe('while Redis is away', () => {
  it('an invalidated value that a load had read does not come back into memory', async () => {
    const own = await startOwnRedis();
    const ownRedis = closedAtEnd(new GuardedRedis(own.url, PATIENT));
    const loads = new Loads();
    const reader = new TieredCache(loads.source(), ownRedis);
    loads.after = async () => {
      loads.after = async () => {};
      await rename(64, 'Invalidated');
      await new TieredCache(new Loads().source(), ownRedis).invalidate([64], await database.nowUs());
      // As soon as it is time for a generation check, a read of another user hears of the invalidation; then Redis freezes.
      await reader.get(65);
      await expect.poll(() => reader.probe(65)).toBeUndefined();
      await reader.getMany([65]);
      own.freeze();
    };
    await reader.get(64);
    own.thaw();
    await expect.poll(() => ownRedis.run((client) => client.ping()).catch(() => '')).toBe('PONG');
    expect(nameOf(await reader.get(64))).toBe('Invalidated');
  });

  it('a warm-up fails rather than store under a generation that it guessed', async () => {
    const own = await startOwnRedis();
    const ownRedis = closedAtEnd(new GuardedRedis(own.url, PATIENT));
    await ownRedis.run((client) => client.ping());
    own.freeze();
    const warmer = new TieredCache(new Loads().source(), ownRedis);
    await expect(warmer.warm([1])).rejects.toBeInstanceOf(RedisUnavailableError);
  });
});

describe('a stale value', () => {
  const expired = { freshMs: 0, memoryMs: 60_000, graceMs: 60_000 };

  it('is refreshed by the one who finds it', async () => {
    const loads = new Loads();
    await open(loads, expired).get(70);
    await rename(70, 'Refreshed');
    stopTimers();
    const read = await open(loads).get(70);
    expect(read.layer).toBe('miss');
    expect(nameOf(read)).toBe('Refreshed');
  });

  it('is served, and said to be stale, while Postgres is away', async () => {
    const loads = new Loads();
    await open(loads, expired).get(71);
    loads.before = async () => {
      throw new DatabaseUnavailableError('down');
    };
    expect(await open(loads).get(71)).toMatchObject({ layer: 'stale' });
  });

  it('that memory has left, and Redis has not, is said to be stale while Postgres is away', async () => {
    const loads = new Loads();
    const cache = open(loads, { memoryMs: 0 });
    await cache.get(74);
    await redis.run(async (client) => client.del(await client.keys('prewarm:entry:*:74')));
    loads.before = async () => {
      throw new DatabaseUnavailableError('down');
    };
    expect(await cache.get(74)).toMatchObject({ layer: 'stale' });
    expect(await cache.getMany([74])).toMatchObject([{ layer: 'stale' }]);
  });

  it('in Redis is not answered, nor refreshed, where memory has a fresh one that was read later', async () => {
    const loads = new Loads();
    const cache = open(loads);
    await cache.get(75);
    await redis.run(async (client) => {
      const [entryKey = ''] = await client.keys('prewarm:entry:*:75');
      const entry = decodeEntry((await client.get(entryKey)) ?? '') as Entry;
      await client.set(
        entryKey,
        encodeEntry({ ...entry, readAtUs: entry.readAtUs - 1, freshUntilMs: Date.now() - 1 }),
      );
    });
    await expect.poll(() => cache.probe(75)).toBeUndefined(); // a generation check is due
    expect([(await cache.get(75)).layer, loads.count]).toEqual(['l1', 1]);
  });

  it('is refreshed by one of several containers that find it at once, which alone waits for that', async () => {
    const loads = new Loads();
    await open(loads, expired).get(73);
    loads.count = 0;
    const { release } = loads.hold();
    stopTimers();
    const layers: string[] = [];
    const othersAnswered = Promise.withResolvers<void>();
    const reads = Array.from({ length: 5 }, async () => {
      if (layers.push((await open(loads).get(73)).layer) === 4) othersAnswered.resolve();
    });
    await othersAnswered.promise;
    expect([layers, loads.count]).toEqual([['stale', 'stale', 'stale', 'stale'], 1]);
    release();
    await Promise.all(reads);
    expect([layers.at(-1), loads.count]).toEqual(['miss', 1]);
  });

  it('is waited for by the one who refreshes it for a quarter of a second', async () => {
    const loads = new Loads();
    await open(loads, expired).get(75);
    const { held, release } = loads.hold();
    stopTimers();
    const layers: string[] = [];
    const read = open(loads)
      .get(75)
      .then(({ layer }) => layers.push(layer));
    await held;
    await vi.advanceTimersByTimeAsync(REFRESH_WAIT_MS - 1);
    expect(layers).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await read;
    expect(layers).toEqual(['stale']);
    release();
  });

  it('is served at once to the others while one refreshes', async () => {
    const loads = new Loads();
    await open(loads, expired).get(72);
    const cache = open(loads);
    const { held, release } = loads.hold();
    stopTimers();
    const refresher = cache.get(72);
    await held;
    expect(await cache.get(72)).toMatchObject({ layer: 'stale' });
    release();
    expect(await refresher).toMatchObject({ layer: 'miss' });
  });
});
