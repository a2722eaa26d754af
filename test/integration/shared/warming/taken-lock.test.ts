/** A warm-up that finds the lock taken, on a real Redis and a real PostgreSQL: who goes away, who waits, and who leaves no lock behind. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TieredCache } from '../../../../shared/cache/tiered-cache.ts';
import { openCaches, warmableDatasetsOf } from '../../../../shared/caches.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { Trigger, WarmupReport } from '../../../../shared/warming/report.ts';
import { type WarmupRun, warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { openWorld, USERS_LOAD } from '../../../support/warmer-world.ts';

const LOCK = keys.warmupLock;
const USERS = 20;

let servers: IsolatedServers;
let database: Database;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
});
beforeEach(async () => {
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: 5_000 }));
  await redis.run((client) => client.flushdb());
});

/** Of code whose users have the form of `schemaVersion`. */
function start(
  trigger: Trigger,
  { schemaVersion = 1, ...overrides }: Partial<WarmupRun> & { schemaVersion?: number } = {},
): Promise<WarmupReport> {
  const registered = { users: { ...users, schemaVersion, warmIdsMax: USERS } };
  return warmUp({
    traceId: `${trigger}-run`,
    trigger,
    redis,
    connect: () => database.connect(),
    datasets: warmableDatasetsOf(redis, database, openCaches(redis, database, registered), registered),
    signal: new AbortController().signal,
    recordMetrics: async () => {},
    ...overrides,
  });
}

const hold = (ttlMs = 30_000) => redis.run((client) => client.set(LOCK, 'holder', 'PX', ttlMs));
const untilAskedFor = (run: Promise<unknown>) => {
  let asked = 0;
  const { run: send } = redis;
  redis.run = ((operation) => {
    asked++;
    return send.call(redis, operation);
  }) as typeof redis.run;
  return { isWaiting: () => expect.poll(() => asked).toBeGreaterThan(6), run };
};

async function layersOf(schemaVersion: number): Promise<string[]> {
  const load = async () => Promise.reject(new Error('nothing is to be loaded'));
  const cache = new TieredCache({ ...users, schemaVersion, load }, redis);
  const best = await users.rank(database, USERS);
  return [...new Set((await cache.getMany(best)).map(({ layer }) => layer))];
}

describe('while another warm-up holds the lock', () => {
  it("the schedule's is skipped at once, with whose it is", async () => {
    await hold();
    expect(await start('schedule')).toMatchObject({ status: 'skipped', holderTraceId: 'holder', steps: [] });
  });

  it.each(['deploy', 'manual'] as const)(
    'one of trigger %s waits for it, and then warms',
    async (trigger) => {
      await hold();
      const { isWaiting, run } = untilAskedFor(start(trigger));
      await isWaiting();
      await redis.run((client) => client.del(LOCK));
      expect(await run).toMatchObject({ status: 'success', planned: USERS, warmed: USERS });
      expect(await redis.run((client) => client.exists(LOCK))).toBe(0);
    },
  );

  it("a deployment's is not lost when the other one is of old code: the new keys are warm", async () => {
    const old = Promise.withResolvers<void>();
    const holding = start('schedule', { schemaVersion: 1, recordMetrics: () => old.promise });
    await expect.poll(() => redis.run((client) => client.get(LOCK))).toBe('schedule-run');
    const { isWaiting, run } = untilAskedFor(start('deploy', { schemaVersion: 2 }));
    await isWaiting();
    old.resolve();
    expect((await holding).status).toBe('success');
    expect(await run).toMatchObject({ status: 'success', warmed: USERS });
    expect(await layersOf(2)).toEqual(['l2']);
  });

  it("a deployment's waits for the end of the lock of one that was killed", async () => {
    await hold(1_000); // as if most of the 30 s were over
    expect(await start('deploy')).toMatchObject({ status: 'success', warmed: USERS });
  });

  it("a deployment's that waited in vain has failed, and says whose lock it was", async () => {
    await hold();
    const report = await start('deploy', { lockWaitMs: 300 });
    expect(report).toMatchObject({ status: 'failed', holderTraceId: 'holder', planned: 0 });
    expect(report.aborted).toContain('holder');
    expect(await redis.run((client) => client.get(LOCK))).toBe('holder');
  });

  it('one whose time is nearly used up waits no longer', async () => {
    await hold();
    const deadline = new AbortController();
    const { isWaiting, run } = untilAskedFor(start('manual', { signal: deadline.signal }));
    await isWaiting();
    deadline.abort(new Error('nearly used up'));
    expect(await run).toMatchObject({ status: 'failed' });
  });

  it('the same event delivered twice runs once', async () => {
    await redis.run((client) => client.set(LOCK, 'deploy-run', 'EX', 30));
    expect(await start('deploy')).toMatchObject({ status: 'skipped', holderTraceId: 'deploy-run' });
  });
});

it('a warmer whose process is asked to end releases its lock, and tells what is left to do', async () => {
  const world = await openWorld();
  const loading = world.databaseProxy.hangAt(USERS_LOAD, 3);
  const run = world.first.call('invoke', 'schedule', 'ended').catch(() => 'gone');
  await loading;
  process.kill(world.first.pid, 'SIGTERM');
  await run;
  await expect.poll(() => world.redis.exists(LOCK)).toBe(0);
  expect(await world.lastReport()).toMatchObject({
    traceId: 'ended',
    aborted: 'The container is being stopped.',
  });
  const next = await world.startAnother();
  await world.databaseProxy.recover();
  expect((await next.call('invoke', 'schedule', 'next')).report).toMatchObject({ status: 'success' });
});
