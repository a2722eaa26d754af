/** The warm-up on a real Redis and a real PostgreSQL: the requirement's flow, and what it does when parts of it fail. */
import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { openCaches, warmableDatasetsOf } from '../../../../shared/caches.ts';
import { DatabaseUnavailableError, LockLostError, RedisUnavailableError } from '../../../../shared/errors.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../../../shared/warming/dataset-warmer.ts';
import { readUnfinished } from '../../../../shared/warming/hot-keys.ts';
import { LockSeeker, type WarmupLock } from '../../../../shared/warming/lock.ts';
import type { WarmBatch } from '../../../../shared/warming/plan.ts';
import { lastReports, type WarmupReport } from '../../../../shared/warming/report.ts';
import type * as Retry from '../../../../shared/warming/retry.ts';
import { type WarmupRun, warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { datasets } from '../../../support/datasets/index.ts';
import { type IsolatedServers, isolatedServers, startOwnRedis } from '../../../support/servers.ts';
import { NO_PLAN } from '../../../support/warm-ups.ts';

/** The same tries, next to no waits between them: how long these are is told by the test of `retry`. */
vi.mock('../../../../shared/warming/retry.ts', async (importOriginal) => {
  const { retry, WARMUP_RETRY } = await importOriginal<typeof Retry>();
  const policy = { ...WARMUP_RETRY, delaysMs: WARMUP_RETRY.delaysMs.map(() => 1) };
  return {
    retry: (...[name, operation, signal, , retriesMax]: Parameters<typeof retry>) =>
      retry(name, operation, signal, policy, retriesMax),
  };
});

const LOCK = 'cache:warmup:lock';
const LOCK_TTL_MS = 30_000;
let servers: IsolatedServers;
let database: Database;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
});
beforeEach(async () => {
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, WARMER_GUARD));
  await redis.run((client) => client.flushdb());
});

function realTargets(limit: number): WarmableDataset[] {
  return warmableDatasetsOf(redis, database, openCaches(redis, database), {
    users: { ...datasets.users, warmIdsMax: limit },
    userSearch: { ...datasets.userSearch, warmIdsMax: 5 },
  });
}

const NO_TARGET: WarmableDataset = {
  step: 'nothing',
  name: 'nothing',
  plan: async () => NO_PLAN,
  generation: async () => '1',
  missing: async () => [],
  bytesOfOne: async () => 0,
  drop: async () => {},
  isDatabaseWell: async () => false,
};

/** By the clock that the lock's time to live is counted by. */
async function redisNowMs(): Promise<number> {
  const [seconds, micros] = await redis.run((client) => client.time());
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** A target of `batches` keys, one each, of which some fail at every try. */
function target(
  step: string,
  batches: number,
  fails: (index: number) => boolean = () => false,
  failure?: Error,
): WarmableDataset {
  const batchOf = (index: number): WarmBatch => ({
    keys: [`${step}-${index}`],
    warm: async () => {
      if (fails(index)) throw failure ?? new Error(`batch ${index} is bad`);
      return { storedKeys: [`${step}-${index}`], absent: 0, newerStored: 0, generation: '1' };
    },
  });
  return { ...NO_TARGET, step, plan: async () => ({ ...NO_PLAN, batches: range(batches).map(batchOf) }) };
}

function start(overrides: Partial<WarmupRun> = {}): Promise<WarmupReport> {
  return warmUp({
    traceId: randomUUID(),
    trigger: 'manual',
    redis,
    connect: () => database.connect(),
    datasets: [],
    signal: new AbortController().signal,
    recordMetrics: async () => {},
    ...overrides,
  });
}

describe('a warm-up', () => {
  it('warms the most followed users and searches, and reports each step', async () => {
    const report = await start({ datasets: realTargets(450) });
    expect(report).toMatchObject({
      status: 'success',
      trigger: 'manual',
      planned: 455,
      warmed: 455,
      failed: 0,
    });
    expect(report.steps.map(({ name, attempts, status }) => ({ name, attempts, status }))).toEqual([
      { name: 'database-connection', attempts: 1, status: 'success' },
      { name: 'top-users', attempts: 1, status: 'success' },
      { name: 'user-search', attempts: 1, status: 'success' },
      { name: 'hot-keys', attempts: 1, status: 'success' },
    ]);
    const [top] = await datasets.users.rank(database, 1);
    expect(await openCaches(redis, database).users.get(top as number)).toMatchObject({ layer: 'l2' });
  });

  it('holds the lock, with its traceId and 30 s to live, while it runs and not after', async () => {
    const traceId = randomUUID();
    const beforeMs = await redisNowMs();
    const seen: unknown[] = [];
    await start({
      traceId,
      recordMetrics: async () => {
        seen.push(
          await redis.run((client) => client.get(LOCK)),
          await redis.run((client) => client.pexpiretime(LOCK)),
          await redis.run((client) => client.pttl(LOCK)),
        );
      },
    });
    // However long the run took until it was asked: from some moment after its start, 30 s and no more.
    const endsInTime = expect.toSatisfy((endsAtMs) => endsAtMs >= beforeMs + LOCK_TTL_MS);
    expect(seen).toEqual([traceId, endsInTime, expect.toSatisfy((ttlMs) => ttlMs <= LOCK_TTL_MS)]);
    expect(await redis.run((client) => client.exists(LOCK))).toBe(0);
  });

  it('is skipped, with the traceId of the holder, while another runs', async () => {
    await redis.run((client) => client.set(LOCK, 'other-trace', 'EX', 30));
    const report = await start({ trigger: 'schedule', datasets: realTargets(10) });
    expect(report).toMatchObject({ status: 'skipped', holderTraceId: 'other-trace', steps: [], planned: 0 });
    expect(await redis.run((client) => client.get(LOCK))).toBe('other-trace');
  });

  it('runs once when many are started at once', async () => {
    const reports = await Promise.all(
      Array.from({ length: 20 }, () => start({ trigger: 'schedule', datasets: realTargets(200) })),
    );
    const ran = reports.filter((report) => report.status === 'success');
    expect(ran).toHaveLength(1);
    const skipped = reports.filter((report) => report.status === 'skipped');
    expect(new Set(skipped.map((report) => report.holderTraceId))).toEqual(new Set([ran[0]?.traceId]));
  });

  it('goes on with the other steps and batches when one fails, and counts exactly', async () => {
    const targets = [target('one', 6, (index) => index === 1 || index === 2), target('two', 2)];
    const report = await start({ datasets: targets });
    expect(report).toMatchObject({ status: 'partial', planned: 8, warmed: 6, skipped: 0, failed: 2 });
    expect(report.steps[1]).toMatchObject({
      name: 'one',
      status: 'partial',
      attempts: 4,
      failures: expect.arrayContaining([
        { cause: 'batch 1 is bad', keys: 1 },
        { cause: 'batch 2 is bad', keys: 1 },
      ]),
    });
    expect(report.steps[2]).toMatchObject({ name: 'two', status: 'success', attempts: 1 });
  });

  it('ends soon when the database is away, not after all retries of every batch', async () => {
    const away = new DatabaseUnavailableError('down');
    const failing = vi.fn(() => true);
    const report = await start({ datasets: [target('all', 100, failing, away)] });
    expect(report).toMatchObject({ status: 'failed', planned: 100, warmed: 0, failed: 100 });
    expect(report.steps[1]?.failures).toEqual([
      { cause: 'down', keys: 4 },
      { cause: 'not tried any more', keys: 96 },
    ]);
    // All tries of the four that were begun.
    expect(failing).toHaveBeenCalledTimes(4 * 4);
    // The next run carries on.
    expect(await readUnfinished(redis, NO_TARGET.name)).toBe(NO_PLAN.beganAtMs);
  });

  it('stops when its lock is taken away, and leaves the new owner its lock', async () => {
    const stuck: WarmableDataset = {
      ...NO_TARGET,
      step: 'stuck',
      plan: async () => {
        await redis.run((client) => client.set(LOCK, 'thief', 'EX', 30));
        return new Promise(() => {});
      },
    };
    const report = await start({ datasets: [stuck, target('never', 3)], lockRenewEveryMs: 50 });
    expect(report).toMatchObject({ status: 'failed', aborted: 'The lock belongs to somebody else.' });
    expect(report.steps.map(({ name, attempts }) => [name, attempts])).toEqual([
      ['database-connection', 1],
      ['stuck', 1],
      ['never', 0],
      ['hot-keys', 0],
    ]);
    expect(await redis.run((client) => client.get(LOCK))).toBe('thief');
  });

  it('stops when its time is nearly used up, and releases its lock', async () => {
    const deadline = new AbortController();
    const slow: WarmableDataset = {
      ...NO_TARGET,
      step: 'slow',
      plan: async () => {
        deadline.abort(new Error('nearly used up'));
        return NO_PLAN;
      },
    };
    const report = await start({ datasets: [slow, target('never', 3)], signal: deadline.signal });
    expect(report).toMatchObject({ status: 'failed', aborted: 'nearly used up' });
    expect(await redis.run((client) => client.exists(LOCK))).toBe(0);
  });

  it('leaves no lock behind when it fails after taking it', async () => {
    const run = redis.run.bind(redis);
    vi.spyOn(redis, 'run').mockImplementation((operation) =>
      String(operation).includes('raiseGeneration') ? Promise.reject(new Error('no fence')) : run(operation),
    );
    const report = await start({ datasets: [target('never', 1)] });
    expect(report).toMatchObject({ status: 'failed', steps: [{ name: 'lock', attempts: 4 }] });
    expect(await redis.run((client) => client.exists(LOCK))).toBe(0);
  });

  it('keeps its last 50 reports, newest first', async () => {
    for (let run = 0; run < 55; run++) await start({ traceId: `run-${run}` });
    const reports = await lastReports(redis, 100);
    expect(reports).toHaveLength(50);
    expect(reports[0]?.traceId).toBe('run-54');
    expect(reports[49]?.traceId).toBe('run-5');
  });

  it('waits half a second after a deployment', async () => {
    const startedAtMs = performance.now();
    await start({ trigger: 'deploy' });
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(495);
  });
});

describe('the lock', () => {
  const never = new AbortController().signal;

  async function take(traceId: string, renewEveryMs?: number): Promise<WarmupLock> {
    const attempt = await new LockSeeker(redis, traceId, renewEveryMs).acquire(never);
    if (!attempt.acquired) throw new Error('The lock should have been free.');
    return attempt.lock;
  }

  it('is renewed by its owner only and released by its owner only', async () => {
    const lock = await take('mine');
    await redis.run((client) => client.set(LOCK, 'theirs', 'EX', 30));
    expect(await lock.release()).toBe(false);
    expect(await redis.run((client) => client.get(LOCK))).toBe('theirs');
  });

  it('is renewed while it is held, and tells at the next renewal that it was taken away', async () => {
    const lock = await take('mine', 50);
    const beforeMs = await redisNowMs();
    await redis.run((client) => client.expire(LOCK, 5));
    const endsAtMs = () => redis.run((client) => client.pexpiretime(LOCK));
    await expect.poll(endsAtMs).toBeGreaterThanOrEqual(beforeMs + LOCK_TTL_MS);
    expect(lock.signal.aborted).toBe(false);
    await redis.run((client) => client.set(LOCK, 'thief', 'EX', 30));
    await expect.poll(() => lock.signal.aborted).toBe(true);
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(await redis.run((client) => client.get(LOCK))).toBe('thief');
  });

  it('gives each owner a higher fencing number, also when Redis has lost the last one', async () => {
    const fences: number[] = [];
    for (const traceId of ['a', 'b', 'c']) {
      const lock = await take(traceId);
      fences.push(lock.fence);
      await redis.run((client) => client.flushdb());
      await lock.release();
    }
    expect(fences).toEqual([...new Set(fences)].toSorted((one, other) => one - other));
  });

  it('is not shared by two runs of one event that was delivered twice', async () => {
    const lock = await take('same');
    const second = await new LockSeeker(redis, 'same').acquire(never);
    expect(second).toEqual({ acquired: false, holderTraceId: 'same' });
    expect(await lock.release()).toBe(true);
  });

  it('is ours when the SET that took it was executed but not answered', async () => {
    const own = await startOwnRedis();
    const guarded = closedAtEnd(new GuardedRedis(own.url, WARMER_GUARD));
    await guarded.connect(30_000);
    // Nothing is late but what the test lets be late.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(async () => {
      vi.useRealTimers();
    });
    own.freeze();
    const seeker = new LockSeeker(guarded, 'mine');
    const refused = vi.fn();
    seeker.acquire(never).catch(refused);
    while (refused.mock.calls.length === 0) await vi.advanceTimersByTimeAsync(WARMER_GUARD.timeoutMs);
    expect(refused).toHaveBeenCalledWith(expect.any(RedisUnavailableError));
    own.thaw();
    expect(await seeker.acquire(never)).toMatchObject({ acquired: true });
  });

  it('is given back by a try that ends after the run was given up', async () => {
    const own = await startOwnRedis();
    const patient = closedAtEnd(new GuardedRedis(own.url, { ...WARMER_GUARD, timeoutMs: 10_000 }));
    await patient.run((client) => client.ping());
    own.freeze();
    const seeker = new LockSeeker(patient, 'late');
    const givenUp = new AbortController();
    const attempt = seeker.acquire(givenUp.signal);
    givenUp.abort(new Error('given up'));
    const abandoned = seeker.abandon();
    own.thaw();
    await expect(attempt).rejects.toThrow('given up');
    await abandoned;
    expect(await patient.run((client) => client.exists(LOCK))).toBe(0);
  });
});
