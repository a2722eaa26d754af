/** What warmers promise each other: processes with the real handler over one Redis and one PostgreSQL, of which one at a time warms. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { describe, expect, it, type TestContext } from 'vitest';
import { keys } from '../../../support/keys.ts';
import type { Invocation } from '../../../support/programs/warmer.ts';
import { watchCommands } from '../../../support/sent-commands.ts';
import {
  openWorld,
  PLANNED,
  USERS,
  USERS_LOAD,
  USERS_STORE,
  type World,
} from '../../../support/warmer-world.ts';

const LOCK = keys.warmupLock;
const LOCK_TTL_MS = 30_000;
/** Shorter than the handler's, for the tests of what an owner does when it cannot renew its lock. */
const RENEW_EVERY_MS = 200;
const CONNECTIONS_OF_OTHERS = `
SELECT count(*)::int AS count FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`;

async function enter({ onTestFinished }: TestContext): Promise<World> {
  const world = await openWorld();
  onTestFinished(() => world.end());
  return world;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** What a run leaves besides entries and its report: of two runs it is not the same. */
const snapshotOf = async (redis: Redis) => ({
  manifest: await redis.get(keys.warmupManifest),
  gauges: await redis.hgetall(keys.metricGauges),
});

describe('of a hundred warm-ups that are started at once', () => {
  const PROCESSES = 5;
  const EACH = 20;
  /** Takes the lock in vain, asks whose it is, and counts that it was skipped, perhaps with what another one counted. */
  const COMMANDS_MAX = 5;

  it('one runs, and each other one answers whose it is after a few commands, and without Postgres', async (context) => {
    const world = await enter(context);
    const processes = await Promise.all(range(PROCESSES).map(() => world.startAnother()));
    // None of them ends before the last one was answered: what it needs of Postgres is held.
    await world.admin.query('BEGIN; LOCK TABLE prewarm_popularity IN ACCESS EXCLUSIVE MODE');
    const atMs = Date.now() + 300;
    const answered: Invocation[] = [];
    const invocations = processes.flatMap((warmer, process) =>
      range(EACH).map((place) => warmer.call('invokeAt', atMs, 'schedule', `run-${process}-${place}`)),
    );
    for (const invocation of invocations) void invocation.then((answer) => answered.push(answer));
    await expect.poll(() => answered.length).toBe(PROCESSES * EACH - 1);
    const others = [...answered];
    await world.admin.query('ROLLBACK');
    const ran = (await Promise.all(invocations)).filter((answer) => !others.includes(answer));
    expect(ran).toMatchObject([{ report: { status: 'success', planned: PLANNED, warmed: PLANNED } }]);
    const holders = new Set(others.map(({ report }) => `${report.status} ${report.holderTraceId}`));
    expect(holders).toEqual(new Set([`skipped ${ran[0]?.report.traceId}`]));
    const scripts = new Set(others.flatMap(({ commands }) => commands.slice(3)));
    expect(new Set(others.map(({ commands }) => commands.slice(0, 3).join()))).toEqual(
      new Set(['set,get,expire']),
    );
    expect([...scripts]).toEqual(['evalsha']);
    expect(Math.max(...others.map(({ commands }) => commands.length))).toBeLessThanOrEqual(COMMANDS_MAX);
    // Those of the one that ran, which it keeps.
    expect((await world.admin.query(CONNECTIONS_OF_OTHERS)).rows).toEqual([{ count: 2 }]);
  });
});

describe.concurrent('a warm-up whose lock', () => {
  const TAKEN = 'The lock belongs to somebody else.';
  /** Whatever the driver says. */
  const NOT_CONFIRMED = expect.stringMatching(new RegExp(`^(?!${TAKEN})`));
  const LOSSES = [
    {
      loss: 'is taken by another one',
      lose: ({ redis }: World) => redis.set(LOCK, 'thief', 'PX', LOCK_TTL_MS),
      aborted: TAKEN,
      holder: 'thief',
    },
    {
      loss: 'is deleted',
      lose: ({ redis }: World) => redis.del(LOCK),
      aborted: TAKEN,
      holder: null,
    },
    {
      loss: 'cannot be renewed, because Redis does not answer,',
      lose: ({ redisProxy }: World) => redisProxy.hang(),
      aborted: NOT_CONFIRMED,
      holder: 'first',
    },
    {
      loss: 'cannot be renewed, because Redis refuses connections,',
      lose: ({ redisProxy }: World) => redisProxy.refuse(),
      aborted: NOT_CONFIRMED,
      holder: 'first',
    },
  ];

  it.for(LOSSES)(
    '$loss stops soon, though Postgres holds what it waits for, and leaves it alone',
    async ({ lose, aborted, holder }, context) => {
      const { expect } = context;
      const world = await enter(context);
      const loading = world.databaseProxy.hangAt(USERS_LOAD, 3);
      const run = world.first.call('warm', 'first', RENEW_EVERY_MS);
      await loading;
      await lose(world);
      const report = await run;
      expect(report).toMatchObject({ aborted, planned: USERS });
      expect(report.warmed + report.skipped + report.failed).toBe(USERS);
      // A renewal in vain takes less time than the first try and the wait for the second one: no other one follows it.
      expect(report.steps.find(({ name }) => name === 'top-users')?.attempts).toBeLessThanOrEqual(2);
      expect(await world.redis.get(LOCK)).toBe(holder);
    },
  );

  it('was lost writes nothing more of what it has read', async (context) => {
    const world = await enter(context);
    const run = world.first.call('warmHeld', 'first', RENEW_EVERY_MS);
    await world.first.call('untilRead');
    await world.redis.set(LOCK, 'thief', 'PX', LOCK_TTL_MS);
    expect(await run).toMatchObject({ status: 'failed', aborted: TAKEN });
    await world.first.call('releaseLoads');
    expect(await world.countStored()).toBe(0);
    expect(await world.redis.get(LOCK)).toBe('thief');
  });
});

describe.concurrent('a warmer', () => {
  it('that is killed leaves a lock that ends by itself after 30 s at most, and the next one warms everything', async (context) => {
    const { expect } = context;
    const world = await enter(context);
    const sent = await watchCommands(world.redisUrl, LOCK);
    const loading = world.databaseProxy.hangAt(USERS_LOAD, 3);
    const lost = world.first.call('invoke', 'manual', 'killed').catch(() => 'lost');
    await loading;
    await world.first.kill();
    expect(await lost).toBe('lost');
    await expect.poll(sent).toContain(`set ${LOCK} killed EX ${LOCK_TTL_MS / 1_000} NX`);
    expect(await world.redis.pttl(LOCK), 'no end').not.toBe(-1);
    const next = await world.startAnother();
    const early = await next.call('invoke', 'schedule', 'early');
    expect(early.report).toMatchObject({ status: 'skipped', holderTraceId: 'killed' });
    await world.redis.pexpire(LOCK, 200); // as if most of the 30 s were over
    await expect.poll(() => world.redis.exists(LOCK)).toBe(0);
    const { report } = await next.call('invoke', 'manual', 'next');
    expect(report).toMatchObject({ status: 'success', planned: PLANNED, failed: 0 });
    expect(await world.countStored()).toBe(PLANNED);
  });

  const THIRD_TTL_MS = 20_000;

  /** `first` is frozen with its next write on the way to Redis; its lock ends, and a newer run comes and goes. */
  async function overtake<Run>(
    world: World,
    written: string,
    begin: () => Promise<Run>,
  ): Promise<{ run: Promise<Run> }> {
    await world.first.call('invoke', 'manual', 'earlier'); // Redis knows the scripts: what comes late is executed
    const second = await world.startAnother();
    const writing = world.redisProxy.hangAt(written);
    const run = begin();
    await writing;
    world.first.freeze();
    await world.redis.del(LOCK);
    await world.admin.query('UPDATE users SET follower_count = 2000000 WHERE id = $1', [USERS]);
    const { report } = await second.call('invoke', 'manual', 'second');
    expect(report).toMatchObject({ status: 'success', warmed: PLANNED });
    await world.redis.set(LOCK, 'third', 'PX', THIRD_TTL_MS);
    return { run };
  }

  /** Which entries are of an earlier read than they were, when they were `stored`. */
  async function olderThan(stored: ReadonlyMap<string, number>, world: World): Promise<unknown[]> {
    return [...(await world.stored())].filter(([key, readAtUs]) => readAtUs < (stored.get(key) ?? 0));
  }

  async function expectThirdToHoldTheLock({ redis }: World): Promise<void> {
    expect(await redis.get(LOCK)).toBe('third');
    expect(await redis.pttl(LOCK)).toBeLessThanOrEqual(THIRD_TTL_MS);
  }

  it.for([
    { what: 'users', written: USERS_STORE },
    { what: 'hot keys', written: keys.warmupHotKeysOrder },
    { what: 'a report', written: keys.warmupReports },
    { what: 'gauges', written: keys.metricGaugesOrder },
  ])(
    'that is frozen past its lock, with $what to write, replaces nothing newer',
    async ({ written }, context) => {
      const world = await enter(context);
      const { run } = await overtake(world, written, () => world.first.call('invoke', 'manual', 'first'));
      const [stored, snapshot] = [await world.stored(), await snapshotOf(world.redis)];
      await world.redisProxy.recover();
      world.first.thaw();
      await run;
      expect(await olderThan(stored, world)).toEqual([]);
      expect(await snapshotOf(world.redis)).toEqual(snapshot);
      expect((await world.lastReport()).traceId).toBe('second');
      await expectThirdToHoldTheLock(world);
    },
  );

  it("that is frozen past its lock stops when it is thawed, and renews nobody else's lock", async (context) => {
    const world = await enter(context);
    const begin = () => world.first.call('warm', 'first', RENEW_EVERY_MS);
    const { run } = await overtake(world, USERS_STORE, begin);
    await sleep(RENEW_EVERY_MS); // a renewal is due when it is thawed
    const [stored, snapshot] = [await world.stored(), await snapshotOf(world.redis)];
    await world.redisProxy.recover();
    world.first.thaw();
    expect(await run).toMatchObject({ aborted: 'The lock belongs to somebody else.' });
    // What it loads before Redis has answered whose the lock is, is newer.
    expect(await olderThan(stored, world)).toEqual([]);
    expect(await snapshotOf(world.redis)).toEqual(snapshot);
    await expectThirdToHoldTheLock(world);
  });
});
