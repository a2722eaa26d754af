/** A real Redis Cluster: commands find the server of their key, also when it moves, and a server that is away is Redis being away. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { readStatus } from '../../../../functions/admin/status.ts';
import { checkExternal } from '../../../../infra/local/servers/external.ts';
import { redisUser } from '../../../../infra/users.ts';
import { RedisUnavailableError, TooManyRequestsError } from '../../../../shared/errors.ts';
import { AdminLimits } from '../../../../shared/http/rate-limit.ts';
import { FleetTotals } from '../../../../shared/metrics/fleet-totals.ts';
import { Publisher } from '../../../../shared/metrics/publisher.ts';
import { Recorder } from '../../../../shared/metrics/recorder.ts';
import { serverOf } from '../../../../shared/redis/batch.ts';
import { createRedis, type RedisClient, untilReady } from '../../../../shared/redis/client.ts';
import {
  ADMIN_GUARD,
  GuardedRedis,
  REQUEST_GUARD,
  WARMER_GUARD,
} from '../../../../shared/redis/guarded-redis.ts';
import { readMemoryUsageBytes } from '../../../../shared/redis/memory-usage.ts';
import { LockSeeker, lockHolder } from '../../../../shared/warming/lock.ts';
import { keepReport, lastReports, type WarmupReport } from '../../../../shared/warming/report.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { type OwnCluster, type SlotMove, startOwnCluster } from '../../../support/own-cluster.ts';
import { countOutcomes } from '../../../support/redis-outcomes.ts';

/** Where the way of a command matters and not its time, which a busy machine may need. */
const PATIENT = { ...REQUEST_GUARD, timeoutMs: 2_000 };
/** For outages: patient still, and soon back. */
const HASTY = { ...REQUEST_GUARD, timeoutMs: 500 };
/** For counting what an outage costs: no probe, which another server may answer, comes in between. */
const UNPROBED = { ...HASTY, probeAfterMs: 3_600_000 };
/** Of a test that breaks the cluster, and of all others. */
const [NODE_TIMEOUT_MS, USUAL_NODE_TIMEOUT_MS] = [2_000, 30_000];

let cluster: OwnCluster;
let redis: GuardedRedis;

beforeAll(async () => {
  cluster = await startOwnCluster();
});
beforeEach(async () => {
  await Promise.all(cluster.masters.map(({ admin }) => admin.flushall()));
  redis = await connect(cluster.url);
});

/** For a test or its hook. */
async function connect(url: string, options = PATIENT): Promise<GuardedRedis> {
  const guarded = closedAtEnd(new GuardedRedis(url, options));
  await guarded.connect(60_000);
  return guarded;
}

/** So many that each server has some. */
function someKeys(name: string): string[] {
  return Array.from({ length: 50 }, (_, index) => `${name}-${index}`);
}

function setAll(names: readonly string[], through = redis): Promise<unknown[]> {
  return through.batch(names, (commands, index) =>
    commands.set(names[index] as string, `${names[index]} is here`),
  );
}

function getAll(names: readonly string[], through = redis): Promise<unknown[]> {
  return through.batch(names, (commands, index) => commands.get(names[index] as string));
}

const valuesOf = (names: readonly string[]) => names.map((name) => `${name} is here`);

const isUnavailable = (command: () => Promise<unknown>) =>
  expect(command()).rejects.toBeInstanceOf(RedisUnavailableError);

describe('a connection', () => {
  it('is there to every server when the first command comes', async () => {
    await connect(cluster.url);
    const listed = cluster.masters.map(({ admin }) => admin.client('LIST') as Promise<string>);
    // At least the node's own, the first container's and this one's.
    for (const list of await Promise.all(listed)) expect(list.trim().split('\n').length).toBeGreaterThan(2);
  });

  it('is let in by the name and the password in the URL', async () => {
    for (const { admin } of cluster.masters) {
      await admin.acl('SETUSER', 'reader', 'on', '>p@ss:w/rd', '~*', '&*', '+@all');
    }
    const url = new URL(cluster.url);
    const named = await connect(`redis-cluster://reader:${encodeURIComponent('p@ss:w/rd')}@${url.host}`);
    const whoami = await named.batch(someKeys('k'), (commands) => commands.acl('WHOAMI'));
    expect(new Set(whoami)).toEqual(new Set(['reader']));
  });

  it('needs no more rights than the functions’ user has', async () => {
    for (const { admin } of cluster.masters)
      await admin.acl('SETUSER', redisUser.name, 'on', '>pw', ...redisUser.access.split(' '));
    const named = await connect(`redis-cluster://${redisUser.name}:pw@${new URL(cluster.url).host}`);
    const names = someKeys('prewarm:k');
    await setAll(names, named);
    expect(await named.readTexts(names)).toEqual(valuesOf(names));
    expect(await readMemoryUsageBytes(named)).toBeGreaterThan(0);
    expect(await named.run((client) => serverOf(client, names[0] ?? '').role())).toContain('master');
    await expect(setAll(someKeys('other'), named)).rejects.toThrow('NOPERM');
  });

  it('that is refused for its password says so, and nothing listens for it any more', async () => {
    const refused = closedAtEnd(createRedis(cluster.url.replace('//', '//nobody:wrong@'), 10_000));
    const listening = () => ['ready', 'close', 'error'].map((event) => refused.listenerCount(event));
    const before = listening();
    await expect(untilReady(refused, 60_000)).rejects.toMatchObject({
      message: 'Redis refused the connection.',
      cause: { message: expect.stringContaining('WRONGPASS') },
    });
    expect(listening()).toEqual(before);
  });
});

describe('the local runner', () => {
  it('takes the address of a cluster that its scheme calls one', async () => {
    await checkExternal({ redisUrl: cluster.url });
    const plain = cluster.url.replace('-cluster', '');
    await expect(checkExternal({ redisUrl: plain })).rejects.toThrow('is one of a cluster, so its URL');
    const { redisUrl } = inject('servers');
    await checkExternal({ redisUrl });
    const other = redisUrl.replace('redis:', 'redis-cluster:');
    await expect(checkExternal({ redisUrl: other })).rejects.toThrow('is no cluster, so its URL');
  });
});

const read = (through: GuardedRedis, key: string) => through.run((client) => client.get(key));

describe('a batch', () => {
  it('goes to each server in one piece, and comes back in the order of its keys', async () => {
    const names = someKeys('batch');
    expect(new Set(await Promise.all(names.map(cluster.masterOf))).size).toBe(3);
    await setAll(names);
    const ask = async () => {
      expect(await getAll(names)).toEqual(valuesOf(names));
    };
    // Now and then a client asks where the slots are now; a batch in more pieces would be so each time.
    await expect.poll(() => cluster.piecesSentDuring(ask)).toEqual([1, 1, 1]);
  });

  it('tells of the failure of any command, and is no reason to stop asking', async () => {
    const names = someKeys('wrong');
    await setAll(names);
    const push = redis.batch(names, (commands, index) => commands.lpush(names[index] as string, 'x'));
    await expect(push).rejects.toThrow('WRONGTYPE');
    expect(await getAll(names)).toEqual(valuesOf(names));
  });
});

describe('a slot that moves', () => {
  async function beginMove(names: readonly string[]): Promise<SlotMove> {
    await setAll(names);
    return cluster.beginMove(names[7] as string);
  }

  it('is followed while it moves, for reading and for writing', async () => {
    const names = someKeys('moving');
    const move = await beginMove(names);
    expect(await getAll(names)).toEqual(valuesOf(names));
    await move.moveKeys();
    expect(await getAll(names)).toEqual(valuesOf(names));
    await setAll(names);
    expect(await read(redis, names[7] as string)).toBe(`${names[7]} is here`);
    await move.finish();
  });

  it('is followed by all who ask at once after it moved', async () => {
    const names = someKeys('moved');
    const others = await Promise.all([connect(cluster.url), connect(cluster.url)]);
    const move = await beginMove(names);
    await move.moveKeys();
    await move.finish();
    for (let round = 0; round < 5; round++) {
      const asked = [redis, redis, ...others].map((through) => getAll(names, through));
      expect(await Promise.all(asked)).toEqual(asked.map(() => valuesOf(names)));
    }
    await expect
      .poll(() => cluster.piecesSentDuring(() => getAll(names)), { interval: 50 })
      .toEqual([1, 1, 1]);
  });

  it('is followed by a batch after a command on its own was', async () => {
    const names = someKeys('alone');
    const move = await beginMove(names);
    await move.moveKeys();
    await move.finish();
    const alone = read(redis, names[7] as string);
    // The one was led to the other server, and the client is asking where all slots are now.
    const together = alone.then(() => getAll(names));
    expect([await alone, await together]).toEqual([`${names[7]} is here`, valuesOf(names)]);
  });

  it('is waited for once when the server that gets it is frozen', async () => {
    const names = someKeys('stuck');
    const [hasty, unprobed] = [await connect(cluster.url, HASTY), await connect(cluster.url, UNPROBED)];
    const move = await beginMove(names);
    await move.moveKeys();
    move.to.freeze();
    onTestFinished(() => move.to.thaw());
    const outcomes = countOutcomes(unprobed);
    await isUnavailable(() => read(unprobed, names[7] as string));
    await isUnavailable(() => read(unprobed, names[7] as string));
    expect(outcomes).toMatchObject({ waitedInVain: 1, refusedAtOnce: 1 });
    const get = () => read(hasty, names[7] as string);
    await isUnavailable(get);
    move.to.thaw();
    await move.finish();
    await expect.poll(() => get().catch(() => 'not yet'), { interval: 50 }).toBe(`${names[7]} is here`);
  });

  it('does without the generation while half of what belongs to it has moved', async () => {
    const hasty = await connect(cluster.url, HASTY);
    const look = () => hasty.run((client) => lookAt(client, 0));
    await redis.run((client) => client.raiseGeneration(keys.generation('d'), '0'));
    const move = await cluster.beginMove(keys.generation('d'));
    await isUnavailable(look);
    await move.moveKeys();
    await move.finish();
    await expect.poll(() => look().catch(() => 'not yet'), { interval: 50 }).toMatchObject({ length: 5 });
  });
});

const report: WarmupReport = {
  traceId: 'trace',
  trigger: 'manual',
  status: 'success',
  startedAt: new Date(0).toISOString(),
  durationMs: 1,
  planned: 0,
  warmed: 0,
  absent: 0,
  skipped: 0,
  failed: 0,
  steps: [],
};

const SHARES = [0.1, 60_000, 0, 0.1, 60_000, 0, 0.1, 60_000, 0];

function lookAt(client: RedisClient, sinceMs: number): Promise<(string | number)[]> {
  const names = [keys.generation('d'), keys.invalidated('d'), keys.schemaVersions('d')] as const;
  return client.checkGeneration(...names, '0', sinceMs, 1_000, '1', 60_000);
}

describe('what Prewarm keeps in Redis', () => {
  it('is reached by every script, with keys of one slot', async () => {
    const entry = keys.entry('d', 1, '1', '7');
    const answers = await redis.run(async (client) => [
      await client.putEntries(1, entry, Date.now() + 60_000, '', 'v0000000000000001', 1, 1_000, '7', ''),
      await client.set(keys.lease(entry), 'me', 'PX', 1_000, 'NX'),
      await client.renewIfOwner(keys.lease(entry), 'me', 2_000),
      await client.releaseIfOwner(keys.lease(entry), 'me'),
      (await client.raiseGeneration(keys.generation('d'), '0')).length,
      (await lookAt(client, 0)).length,
      await client.announceInvalidated(keys.invalidated('d'), 1_000, 1_000, '1', '2'),
      (await lookAt(client, 1)).length,
      await client.addTotals(keys.metricTotals, keys.metricFlushed, 'f', 1_000, 'a', 1),
      await client.setGauges(keys.metricGauges, keys.metricGaugesOrder, 1, 'b', 2),
      await client.addReads(keys.popularity('d'), '', 1_000, 10, 1_000, '7', 0),
      await client.setHotKeys(
        keys.warmupManifest,
        keys.warmupUnfinished,
        keys.warmupHotKeysOrder,
        1,
        '{}',
        '',
      ),
      await client.addReport(keys.warmupReports, 1, 'report', 50),
      (await client.countCall(keys.limit('clear'), 'somebody', 60_000, 2)).length,
      await client.admit(keys.admission('d'), keys.seen('d', 0), keys.seen('d', 1), '7', ...SHARES, 1, 2),
    ]);
    expect(answers).toEqual([[null], 'OK', 1, 1, 16, 5, 2, 7, 1, 1, 1, 1, 0, 3, [1, 1, 1, 0]]);
  });

  it('is written by a batch of scripts that no server knows yet', async () => {
    const names = someKeys('script');
    const putAll = () =>
      redis.batch(names, (commands, index) =>
        commands.putEntries(
          1,
          names[index] as string,
          Date.now() + 60_000,
          '',
          `v${'1'.padStart(16, '0')}`,
          1,
          9_000,
          '7',
          '',
        ),
      );
    expect(await putAll()).toEqual(names.map(() => [null]));
    await Promise.all(cluster.masters.map(({ admin }) => admin.script('FLUSH')));
    expect(await putAll()).toEqual(names.map(() => [`v${'1'.padStart(16, '0')}`]));
  });

  it('gives the lock of the warm-up to one, who can give it back', async () => {
    const warmer = await connect(cluster.url, WARMER_GUARD);
    const { signal } = new AbortController();
    const seek = (traceId: string) => new LockSeeker(warmer, traceId, 20).acquire(signal);
    const taken = await seek('one');
    if (!taken.acquired) throw new Error('Nobody else wants it.');
    expect(await seek('two')).toEqual({ acquired: false, holderTraceId: 'one' });
    await warmer.run((client) => client.pexpire(keys.warmupLock, 1_000));
    // It is renewed for 30 s.
    const ttlMs = () => warmer.run((client) => client.pttl(keys.warmupLock));
    await expect.poll(ttlMs).toBeGreaterThan(20_000);
    expect([await taken.lock.release(), await lockHolder(redis)]).toEqual([true, null]);
    const next = await seek('two');
    expect(next.acquired && next.lock.fence).toBeGreaterThan(taken.lock.fence);
    if (next.acquired) await next.lock.release();
  });

  it('tells the status: the reports, the generations and the totals', async () => {
    await keepReport(redis, 1, { ...report, traceId: 'earlier' });
    await keepReport(redis, 2, report);
    const generation = await redis.run((client) => client.raiseGeneration(keys.generation('users'), '0'));
    const recorder = new Recorder();
    recorder.count('cache_misses_total', ['users'], 3);
    const totals = new FleetTotals(redis, recorder);
    await totals.add({ order: 1, values: new Map() });
    expect((await lastReports(redis, 10)).map(({ traceId }) => traceId)).toEqual(['trace', 'earlier']);
    expect(await readStatus(redis, ['users', 'user-search'])).toMatchObject({
      redis: { available: true, memoryUsedBytes: expect.any(Number) },
      warmup: { runningTraceId: null, lastReports: [{ traceId: 'trace' }, { traceId: 'earlier' }] },
      datasets: [{ name: 'users', generation }, { name: 'user-search' }],
      totals: await totals.read().then(numbersOf),
    });
  });

  it('is published once by those who want to at the same time', async () => {
    const pushed: string[] = [];
    const url = await receivePushes(pushed);
    const recorder = new Recorder();
    recorder.count('cache_misses_total', ['users'], 3);
    const totals = new FleetTotals(redis, recorder);
    await totals.add();
    const publishers = [1, 2, 3].map(() => new Publisher(redis, totals, { url, stage: 'test' }));
    await Promise.all(publishers.map((publisher) => publisher.publishIfDue(60_000)));
    expect(pushed).toEqual([expect.stringMatching(/^cache_misses_total\{dataset="users"\} 3$/m)]);
  });

  it('counts the exact limits of all containers together', async () => {
    const guards = await Promise.all([connect(cluster.url, ADMIN_GUARD), connect(cluster.url, ADMIN_GUARD)]);
    const containers = guards.map((guard) => new AdminLimits(guard));
    const limit = { name: 'status', callsPerMinute: 5 };
    const calls = Array.from({ length: limit.callsPerMinute + 1 }, (_, call) =>
      (containers[call % 2] as AdminLimits).consume(limit, 'somebody'),
    );
    const refused = (await Promise.allSettled(calls)).filter(({ status }) => status === 'rejected');
    expect(refused).toEqual([{ status: 'rejected', reason: expect.any(TooManyRequestsError) }]);
    await containers[0]?.consume(limit, 'somebody else');
  });
});

function numbersOf(series: Record<string, string>): Record<string, number> {
  return Object.fromEntries(Object.entries(series).map(([name, value]) => [name, Number(value)]));
}

/** A Pushgateway that only listens. */
async function receivePushes(pushed: string[]): Promise<string> {
  const server = createServer(async (request, response) => {
    pushed.push((await request.toArray()).join(''));
    response.end();
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a cluster', () => {
  const names = someKeys('outage');
  let hasty: GuardedRedis;
  const getOrNot = () => getAll(names, hasty).catch(() => 'not yet');

  beforeEach(async () => {
    hasty = await connect(cluster.url, HASTY);
    await setAll(names);
  });

  it('one of whose servers is frozen is waited for once, and used again when that is thawed', async () => {
    const unprobed = await connect(cluster.url, UNPROBED);
    const outcomes = countOutcomes(unprobed);
    const frozen = await cluster.masterOf(names[0] as string);
    frozen.freeze();
    onTestFinished(() => frozen.thaw());
    for (let asked = 0; asked < 6; asked++) await isUnavailable(() => getAll(names, unprobed));
    expect(outcomes).toMatchObject({ waitedInVain: 1, refusedAtOnce: 5 });
    await isUnavailable(() => getAll(names, hasty));
    frozen.thaw();
    await expect.poll(getOrNot, { interval: 50 }).toEqual(valuesOf(names));
  });

  it('that misses slots is away, and is used again when they are back', async () => {
    const lost = await cluster.masterOf(names[0] as string);
    const others = cluster.masters.filter((node) => node !== lost);
    const setNodeTimeout = (ms: number) =>
      Promise.all(others.map(({ admin }) => admin.config('SET', 'cluster-node-timeout', String(ms))));
    await setNodeTimeout(NODE_TIMEOUT_MS);
    await lost.kill();
    await isUnavailable(() => getAll(names, hasty));
    const stateOf = async () => (await others[0]?.admin.cluster('INFO')) as string;
    await expect.poll(stateOf).toContain('cluster_state:fail');
    // Also those of servers that are there: a cluster that is not whole refuses all.
    const there = names.filter((_, index) => index % 10 === 0);
    await isUnavailable(() => getAll(there, hasty));
    await lost.start();
    await cluster.untilWhole();
    await expect.poll(getOrNot, { interval: 50 }).toHaveLength(names.length);
    await setNodeTimeout(USUAL_NODE_TIMEOUT_MS);
  });
});

it('a server that vanished without a word is left for the replica that took over', async () => {
  const replicated = await startOwnCluster({ replicasEach: 1, nodeTimeoutMs: NODE_TIMEOUT_MS });
  const through = await connect(replicated.url, HASTY);
  const names = someKeys('replicated');
  await setAll(names, through);
  const sizes = () => Promise.all(replicated.replicas.map(({ admin }) => admin.dbsize()));
  const copied = async () => (await sizes()).reduce((sum, size) => sum + size);
  await expect.poll(copied).toBe(names.length);
  // Its connections stay open, as those through a broken network do.
  (await replicated.masterOf(names[0] as string)).freeze();
  const getOrNot = () => getAll(names, through).catch(() => 'not yet');
  await expect.poll(getOrNot, { interval: 50 }).toEqual(valuesOf(names));
});
