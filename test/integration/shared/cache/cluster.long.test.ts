/** The read path on a real Redis Cluster and a real PostgreSQL: the promises of one server hold on several, and while slots move or servers are away. */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Source } from '../../../../shared/cache/source.ts';
import { type CacheRead, TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { openCaches, warmableDatasetsOf } from '../../../../shared/caches.ts';
import { userSearch } from '../../../../shared/datasets/user-search.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { RedisUnavailableError } from '../../../../shared/errors.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import type { ClusterNode } from '../../../support/cluster-node.ts';
import { keys } from '../../../support/keys.ts';
import { type OwnCluster, startOwnCluster } from '../../../support/own-cluster.ts';
import { countOutcomes } from '../../../support/redis-outcomes.ts';
import { connectPg, type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { nameOf, renameUser } from '../../../support/user-names.ts';

/** Where the way of a command matters and not its time, which a busy machine may need. */
const PATIENT = { ...REQUEST_GUARD, timeoutMs: 2_000 };
/** For outages: patient still, and soon back. */
const HASTY = { ...REQUEST_GUARD, timeoutMs: 500 };
/** For counting what an outage costs: no probe, which another server may answer, comes in between. */
const UNPROBED = { ...HASTY, probeAfterMs: 3_600_000 };
/** What was cached before a clear or an invalidation is answered by nobody so long after it was answered. */
const PROMISE_MS = 1_000;
/** Of a test that breaks the cluster, and of all others. */
const [NODE_TIMEOUT_MS, USUAL_NODE_TIMEOUT_MS] = [2_000, 30_000];
const IDS = Array.from({ length: 50 }, (_, index) => index + 1);

let cluster: OwnCluster;
let servers: IsolatedServers;
let database: Database;
let admin: pg.Client;

beforeAll(async () => {
  [cluster, servers] = await Promise.all([startOwnCluster(), isolatedServers()]);
  database = closedAtEnd(new Database(servers.databaseUrl));
  admin = await connectPg(servers.databaseUrl);
});
beforeEach(() => Promise.all(cluster.masters.map((node) => node.admin.flushall())));

async function connect(options = PATIENT): Promise<GuardedRedis> {
  const redis = closedAtEnd(new GuardedRedis(cluster.url, options));
  await redis.connect(60_000);
  return redis;
}

/** A container with connections of its own; `before` and `after` let a test act in the middle of a load. */
class Container {
  loads = 0;
  before: () => Promise<void> = async () => {};
  after: () => Promise<void> = async () => {};
  readonly redis: GuardedRedis;
  readonly cache: TieredCache<number>;

  constructor(redis: GuardedRedis) {
    this.redis = redis;
    const load: Source<number>['load'] = async (ids) => {
      this.loads++;
      await this.before();
      const loaded = await users.load(database, ids);
      await this.after();
      return loaded;
    };
    this.cache = new TieredCache({ ...users, load }, redis);
  }

  static async start(options = PATIENT): Promise<Container> {
    return new Container(await connect(options));
  }
}

type Read = Pick<CacheRead, 'json'>;
const userOf = (read: Read) => JSON.parse(read.json ?? 'null') as { id: number } | null;
const idsOf = (reads: readonly Read[]) => reads.map((read) => userOf(read)?.id);
const layersOf = (reads: readonly CacheRead[]) => [...new Set(reads.map((read) => read.layer))];

const rename = (id: number, name: string) => renameUser(admin, id, name);

/** How often all servers together were asked for the lead of a load. */
async function leadsTried(): Promise<number> {
  const infos = await Promise.all(cluster.masters.map(({ admin }) => admin.info('commandstats')));
  return infos
    .map((info) => Number(/cmdstat_set:calls=(\d+)/.exec(info)?.[1] ?? 0))
    .reduce((sum, calls) => sum + calls);
}

async function entryKeyOf(id: number): Promise<string> {
  const { admin: node } = await cluster.masterOf(keys.generation('users'));
  const generation = await node.get(keys.generation('users'));
  return keys.entry('users', users.schemaVersion, generation ?? '', String(id));
}

describe('a read', () => {
  it('goes to Postgres once, then to Redis from another container, then to memory', async () => {
    const [first, second] = [await Container.start(), await Container.start()];
    expect(await first.cache.get(7)).toMatchObject({ layer: 'miss' });
    expect(await second.cache.get(7)).toMatchObject({ layer: 'l2' });
    expect(second.cache.probe(7)).toMatchObject({ layer: 'l1' });
    expect([first.loads, second.loads]).toEqual([1, 0]);
  });

  it('of one key by several containers loads once', async () => {
    const containers = await Promise.all([1, 2, 3, 4, 5].map(() => Container.start()));
    const leadsBefore = await leadsTried();
    const released = Promise.withResolvers<void>();
    const misses = containers.map((container) => {
      container.before = () => released.promise;
      return Promise.all([container.cache.get(12), container.cache.get(12)]);
    });
    const everybodyTried = leadsBefore + containers.length;
    await expect.poll(leadsTried, { interval: 5 }).toBeGreaterThanOrEqual(everybodyTried);
    released.resolve();
    expect(new Set((await Promise.all(misses)).flat().map((read) => read.json)).size).toBe(1);
    expect(containers.reduce((sum, container) => sum + container.loads, 0)).toBe(1);
  });

  it.each(['{a}', '}{', '{}a}', '{', '{}{a}{b}', '{{}}'])(
    'finds the search %j at its third request',
    async (query) => {
      const search = { query, limit: 20, after: null };
      const open = async () => openCaches(await connect(), database).userSearch;
      await (await open()).get(search);
      const missed = await (await open()).get(search);
      const [found] = await (await open()).getMany([search, { ...search, query: 'an' }]);
      expect([missed.layer, found]).toEqual(['miss', { json: missed.json, layer: 'l2' }]);
    },
  );
});

describe('several ids', () => {
  it('are asked of each server at once, and come in the order asked', async () => {
    const [writer, reader] = [await Container.start(), await Container.start()];
    await writer.cache.warm(IDS);
    const owners = IDS.map(async (id) => cluster.masterOf(await entryKeyOf(id)));
    expect(new Set(await Promise.all(owners)).size).toBe(3);
    await reader.cache.get(99_999); // makes the generation check
    reader.loads = 0;
    const asked = [99_999, ...IDS.toReversed()];
    let reads: CacheRead[] = [];
    const pieces = await cluster.piecesSentDuring(async () => {
      reads = await reader.cache.getMany(asked);
    });
    expect(idsOf(reads)).toEqual([undefined, ...IDS.toReversed()]);
    expect(layersOf(reads)).toEqual(['l1', 'l2']);
    // Another look may have become due on a busy machine.
    expect(pieces.toSorted().slice(0, 2)).toEqual([1, 1]);
    expect(pieces.reduce((sum, piece) => sum + piece)).toBeLessThanOrEqual(4);
    expect(reader.loads).toBe(0);
  });

  it('come from memory, Redis and one statement, which is stored on all servers', async () => {
    const [writer, reader] = [await Container.start(), await Container.start()];
    await writer.cache.warm([2, 5, 9]);
    await reader.cache.get(1);
    reader.loads = 0;
    const reads = await reader.cache.getMany([3, 1, 2, 99_999, 3, 5, 9, 10, 11]);
    expect(idsOf(reads)).toEqual([3, 1, 2, undefined, 3, 5, 9, 10, 11]);
    expect(reads.map(({ layer }) => layer)).toEqual([
      'miss',
      'l1',
      'l2',
      'miss',
      'miss',
      'l2',
      'l2',
      'miss',
      'miss',
    ]);
    expect(reader.loads).toBe(1);
    expect(layersOf(await writer.cache.getMany([3, 10, 11]))).toEqual(['l2']);
    // What does not exist is stored at its second request.
    expect(layersOf(await writer.cache.getMany([99_999]))).toEqual(['miss']);
    expect(layersOf(await (await Container.start()).cache.getMany([99_999]))).toEqual(['l2']);
  });
});

describe('order', () => {
  it('keeps a value that was read before an invalidation out, and the caller gets the new one', async () => {
    const [reader, owner, other] = await Promise.all([1, 2, 3].map(() => Container.start()));
    if (!reader || !owner || !other) throw new Error('There are three.');
    reader.after = async () => {
      reader.after = async () => {};
      await rename(50, 'New Name');
      await owner.cache.invalidate([50], await database.nowUs());
    };
    expect(nameOf(await reader.cache.get(50))).toBe('New Name');
    expect(await other.cache.get(50).then(nameOf)).toBe('New Name');
    expect([reader.loads, other.loads]).toEqual([2, 0]);
  });

  it('lets a warm-up replace what was read before it and nothing else', async () => {
    const [early, late] = [await Container.start(), await Container.start()];
    await late.cache.warm(IDS.slice(0, 20));
    early.after = async () => {
      await late.cache.warm(IDS.slice(0, 10));
    };
    expect(await early.cache.warm(IDS.slice(0, 20))).toMatchObject({
      storedKeys: { length: 10 },
      newerStored: 10,
    });
  });
});

describe('another container', () => {
  async function twoThatKnow(id: number) {
    const [here, elsewhere] = [await Container.start(), await Container.start()];
    await here.cache.get(id);
    await elsewhere.cache.get(id);
    return { here: here.cache, elsewhere: elsewhere.cache };
  }

  it('answers nothing older a second after a clear', async () => {
    const { here, elsewhere } = await twoThatKnow(60);
    await rename(60, 'After Clear');
    await here.clear();
    expect(nameOf(await here.get(60))).toBe('After Clear');
    await sleep(PROMISE_MS + 1); // a timer may be early by one
    expect(nameOf(await elsewhere.get(60))).toBe('After Clear');
  });

  it('answers nothing older a second after an invalidation, and keeps the rest', async () => {
    const { here, elsewhere } = await twoThatKnow(61);
    await elsewhere.get(62);
    await rename(61, 'After Invalidation');
    await here.invalidate([61], await database.nowUs());
    await sleep(PROMISE_MS + 1);
    expect(nameOf(await elsewhere.get(61))).toBe('After Invalidation');
    expect(elsewhere.probe(62)).toMatchObject({ layer: 'l1' });
  });
});

it('a warm-up puts the best users and searches on all servers', async () => {
  const redis = await connect(WARMER_GUARD);
  const caches = openCaches(redis, database);
  const report = await warmUp({
    traceId: 'trace',
    trigger: 'manual',
    redis,
    connect: () => database.connect(),
    datasets: warmableDatasetsOf(redis, database, caches, {
      users: { ...users, warmIdsMax: 300 },
      userSearch: { ...userSearch, warmIdsMax: 20 },
    }),
    signal: new AbortController().signal,
    recordMetrics: async () => {},
  });
  expect(report).toMatchObject({ status: 'success', planned: 320, warmed: 320, failed: 0 });
  const [reader, best] = [await Container.start(), await users.rank(database, 300)];
  expect(layersOf(await reader.cache.getMany(best))).toEqual(['l2']);
  const search = { query: (await userSearch.rank(database, 1))[0]?.query ?? '', limit: 20, after: null };
  expect(await openCaches(await connect(), database).userSearch.get(search)).toMatchObject({ layer: 'l2' });
});

describe('while a slot moves', () => {
  it('every read is answered, and from Redis again when it has moved', async () => {
    const { redis } = await Container.start(HASTY);
    await (await Container.start()).cache.warm(IDS);
    const move = await cluster.beginMove(await entryKeyOf(7));
    const readAll = async () => {
      const reader = new Container(redis); // with an empty memory
      const reads = await reader.cache.getMany(IDS);
      expect(idsOf(reads)).toEqual(IDS);
      return layersOf(reads);
    };
    await readAll();
    await move.moveKeys();
    await Promise.all([readAll(), readAll()]);
    await move.finish();
    await Promise.all([readAll(), readAll(), readAll()]);
    await expect.poll(readAll, { interval: 50 }).toEqual(['l2']);
  });

  it('every read is answered when it is the slot of the generation', async () => {
    await (await Container.start()).cache.warm(IDS);
    const move = await cluster.beginMove(keys.generation('users'));
    const readers = await Promise.all([1, 2, 3].map(() => Container.start(HASTY)));
    const readAll = async () => {
      for (const { cache } of readers) expect(idsOf(await cache.getMany(IDS))).toEqual(IDS);
    };
    await readAll();
    await move.moveKeys();
    await readAll();
    await move.finish();
    await readAll();
    const layers = async () => layersOf(await (await Container.start()).cache.getMany(IDS));
    await expect.poll(layers, { interval: 50 }).toEqual(['l2']);
  });
});

describe('while a server is away', () => {
  /** Ids that nobody has read yet, so that no memory has them. */
  let next = 1_000;
  const read = async ({ cache }: Container) => {
    const id = next++;
    expect(userOf(await cache.get(id))?.id).toBe(id);
  };
  const isBack = async (container: Container) => {
    const id = next++;
    await container.cache.get(id);
    return (await new Container(container.redis).cache.get(id)).layer;
  };

  it('a frozen one is waited for once, and used again when it is thawed', async () => {
    const [container, unprobed] = [await Container.start(HASTY), await Container.start(UNPROBED)];
    for (const reader of [container, unprobed]) await read(reader);
    const outcomes = countOutcomes(unprobed.redis);
    const frozen = await cluster.masterOf(keys.generation('users'));
    frozen.freeze();
    onTestFinished(() => frozen.thaw());
    // Keys of servers that answer are asked for until one of the frozen server is.
    for (let reads = 0; reads < 30; reads++) await read(unprobed);
    expect(outcomes.waitsInVain).toBe(1);
    expect(outcomes.refusedAtOnce).toBeGreaterThan(0);
    await expect(container.cache.clear()).rejects.toBeInstanceOf(RedisUnavailableError);
    frozen.thaw();
    await expect.poll(() => isBack(container), { interval: 50 }).toBe('l2');
  });

  it('a killed one makes the cluster useless, not the reads, until it is back', async () => {
    const [container, unprobed] = [await Container.start(HASTY), await Container.start(UNPROBED)];
    for (const reader of [container, unprobed]) await read(reader);
    const [first, killed, last] = cluster.masters as [ClusterNode, ClusterNode, ClusterNode];
    const setNodeTimeout = (ms: number) =>
      Promise.all([first, last].map((node) => node.admin.config('SET', 'cluster-node-timeout', String(ms))));
    await setNodeTimeout(NODE_TIMEOUT_MS);
    await killed.kill();
    const outcomes = countOutcomes(unprobed.redis);
    const stateOf = async () => {
      await read(container);
      await read(unprobed);
      return (await last.admin.cluster('INFO')) as string;
    };
    await expect.poll(stateOf).toContain('cluster_state:fail');
    for (let reads = 0; reads < 10; reads++) await read(unprobed);
    expect(outcomes.waitsInVain).toBeLessThanOrEqual(1);
    expect(outcomes.refusedAtOnce).toBeGreaterThan(0);
    await killed.start();
    await cluster.untilWhole(); // who was away is believed to be back after two such timeouts
    await setNodeTimeout(USUAL_NODE_TIMEOUT_MS);
    await expect.poll(() => isBack(container), { interval: 50 }).toBe('l2');
  });
});
