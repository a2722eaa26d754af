/** What one run of a warmer comes through, in a process with the real handler: what always fails, its deadline, a clear, a Redis that loses everything. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it, type TestContext } from 'vitest';
import { openCaches } from '../../../../shared/caches.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { keys } from '../../../../shared/redis/keys.ts';
import { TRIGGERS, type WarmupReport } from '../../../../shared/warming/report.ts';
import { openWarmers, type Warmers } from '../../../support/warmer-process.ts';
import { openWorld, PLANNED, USERS, USERS_LOAD, type World } from '../../../support/warmer-world.ts';

const LOCK = keys.warmupLock;
const LOCK_TTL_MS = 30_000;
const RENEW_EVERY_MS = 5_000;
const BATCH = 250;
/** What the handler keeps of the function's time. */
const CLOSING_MS = 9_000;
const DEPLOY_DELAY_MS = 500;
/** How late a busy machine may be. */
const LATE_MS = 300;

let warmers: Warmers;

beforeAll(async () => {
  warmers = await openWarmers();
});
afterAll(() => warmers.end());

async function enter({ onTestFinished }: TestContext, pushgatewayUrl?: string): Promise<World> {
  const world = await openWorld(warmers, pushgatewayUrl);
  onTestFinished(() => world.close());
  return world;
}

/** The caches as a container that reads sees them, now. */
function openReader({ onTestFinished }: TestContext, world: World) {
  const redis = new GuardedRedis(world.redisUrl, REQUEST_GUARD);
  const database = new Database(world.databaseUrl);
  onTestFinished(async () => {
    redis.close();
    await database.close();
  });
  return openCaches(redis, database);
}

/**
 * Reading users 300 and 700, who are of two batches, fails; that of 700 takes too long the first time. Nobody finds them
 * by a name.
 */
const SPOIL_USERS = `
CREATE SEQUENCE reads;
CREATE FUNCTION spoiled(id bigint) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN
  IF id = 700 THEN
    IF nextval('reads') = 1 THEN PERFORM pg_sleep(5); END IF;
  END IF;
  RAISE EXCEPTION 'user % is spoiled', id;
END $$;
UPDATE users SET display_name = 'X' WHERE id IN (300, 700);
ALTER TABLE users RENAME TO all_users;
CREATE VIEW users AS
SELECT id, username, display_name, CASE WHEN id IN (300, 700) THEN spoiled(id) ELSE bio END AS bio, avatar_url,
  location, follower_count, created_at, updated_at, search_text
FROM all_users`;

async function ttlsDuring(world: World, run: Promise<unknown>): Promise<number[]> {
  const ttlsMs: number[] = [];
  let isRunning = true;
  void run.finally(() => {
    isRunning = false;
  });
  for (; isRunning; await sleep(50)) ttlsMs.push(await world.redis.pttl(LOCK));
  return ttlsMs.filter((ttlMs) => ttlMs > 0);
}

describe.concurrent('batches that always fail', () => {
  it('are tried again after 1, 2 and 4 s, while the rest is warmed and the lock renewed', async (context) => {
    const { expect } = context;
    const world = await enter(context);
    await world.admin.query(SPOIL_USERS);
    const triedAtMs = world.databaseProxy.timesOf('"700"');
    const failedAtMs = ['canceling statement', 'user 700 is spoiled'].map((text) =>
      world.databaseProxy.timesOf(text),
    );
    const run = world.first.call('invoke', 'schedule', 'run');
    const ttlsMs = await ttlsDuring(world, run);
    const { report } = await run;
    expect(report).toMatchObject({ status: 'partial', planned: PLANNED, skipped: 0, failed: 2 * BATCH });
    expect(report.warmed).toBe(PLANNED - 2 * BATCH);
    expect(await world.countStored()).toBe(report.warmed);
    expect(report.steps.map(({ name, status, attempts }) => [name, status, attempts])).toEqual([
      ['database-connection', 'success', 1],
      ['top-users', 'partial', 4],
      ['user-search', 'success', 1],
      ['hot-keys', 'success', 1],
    ]);
    const spoiled = [300, 700].map((id) => ({ cause: `user ${id} is spoiled`, keys: BATCH }));
    expect(report.steps[1]?.failures).toEqual(expect.arrayContaining(spoiled));
    const failures = failedAtMs.flat();
    expect([triedAtMs.length, failures.length]).toEqual([4, 4]);
    const lastedMs = failures.map((atMs, place) => atMs - (triedAtMs[place] ?? 0));
    expect(Math.max(...lastedMs)).toBeLessThanOrEqual(1_000 + LATE_MS);
    const waitedMs = [1, 2, 3].map((place) => (triedAtMs[place] ?? 0) - (failures[place - 1] ?? 0));
    const asLongAs = (delayMs: number) =>
      expect.toSatisfy((ms: number) => ms >= delayMs - 5 && ms <= delayMs * 1.1 + LATE_MS);
    expect(waitedMs).toEqual([1_000, 2_000, 4_000].map(asLongAs));
    expect(report.durationMs).toBeGreaterThan(RENEW_EVERY_MS);
    expect(Math.min(...ttlsMs)).toBeGreaterThan(LOCK_TTL_MS - RENEW_EVERY_MS - LATE_MS);
  });
});

describe.concurrent('a warm-up whose time is nearly used up', () => {
  /** Postgres stops answering at the third load, and the run's time ends soon after. */
  async function runShort({ first, databaseProxy }: World, traceId: string) {
    const loading = databaseProxy.hangAt(USERS_LOAD, 3);
    const remainingMs = CLOSING_MS + 1_500;
    const run = first.call('invoke', 'schedule', traceId, remainingMs);
    await loading;
    const { report, tookMs } = await run;
    await databaseProxy.recover();
    return { report, isInTime: tookMs < remainingMs };
  }

  const unfinished = async ({ redis }: World) =>
    new Set((JSON.parse((await redis.get(keys.warmupUnfinished)) ?? '{}') as { users: string[] }).users);

  it('stops in time, and the next ones begin with what was left until everything is warm', async (context) => {
    const { expect } = context;
    const world = await enter(context);
    const everyone = Array.from({ length: USERS }, (_, index) => String(index + 1));

    const { report, isInTime } = await runShort(world, 'one');
    expect(isInTime).toBe(true);
    const one = await world.stored();
    expect(report).toMatchObject({
      status: 'partial',
      aborted: "The function's time is nearly used up.",
      ...{ planned: USERS, warmed: one.size, skipped: 0, failed: USERS - one.size },
    });
    expect(await world.redis.exists(LOCK)).toBe(0);
    const left = new Set(everyone.filter((key) => !one.has(key)));
    expect(await unfinished(world)).toEqual(left);

    expect((await runShort(world, 'two')).report).toMatchObject({ status: 'partial' });
    const two = await world.stored();
    const warmedByTwo = [...two].filter(([key, readAtUs]) => one.get(key) !== readAtUs);
    expect(warmedByTwo.length).toBeGreaterThan(0);
    expect(warmedByTwo.filter(([key]) => !left.has(key))).toEqual([]);

    const { report: last } = await world.first.call('invoke', 'schedule', 'three');
    expect(last).toMatchObject({ status: 'success', planned: PLANNED, warmed: PLANNED, failed: 0 });
    expect(await world.countStored()).toBe(PLANNED);
    expect(await world.redis.exists(keys.warmupUnfinished)).toBe(0);
  });
});

describe.concurrent('a clear during a warm-up', () => {
  it.for([
    { when: 'before a batch is loaded', text: USERS_LOAD, times: 3 },
    { when: 'while a batch is loaded', text: 'Before the clear', times: 1 }, // held in Postgres' answer
  ])('$when leaves nothing older to be read, and everything warm', async ({ text, times }, context) => {
    const { expect } = context;
    const world = await enter(context);
    const reader = openReader(context, world);
    await world.admin.query("UPDATE users SET bio = 'Before the clear' WHERE id = 1");
    const reached = world.databaseProxy.hangAt(text, times);
    const run = world.first.call('invoke', 'schedule', 'run');
    await reached;
    await world.admin.query("UPDATE users SET bio = 'After the clear' WHERE id = 1");
    await Promise.all([reader.users.clear(), reader.userSearch.clear()]);
    await world.databaseProxy.recover();
    const { report } = await run;
    expect(report).toMatchObject({ status: 'success', planned: PLANNED, warmed: PLANNED, failed: 0 });
    expect(await world.countStored()).toBe(PLANNED);
    const read = await reader.users.get(1);
    expect(read).toMatchObject({ layer: 'l2', json: expect.stringContaining('After the clear') });
  });
});

describe.concurrent('a Redis that loses everything during a warm-up', () => {
  it('ends nothing but its warmth: the run comes to its end, and the next one counts and warms everything', async (context) => {
    const { expect } = context;
    const world = await enter(context);
    for (const traceId of ['earlier', 'early']) await world.first.call('invoke', 'schedule', traceId);
    const loading = world.databaseProxy.hangAt(USERS_LOAD, 3);
    const run = world.first.call('invoke', 'schedule', 'run');
    await loading;
    await world.redis.flushdb();
    await world.databaseProxy.recover();
    expect((await run).report.planned).toBe(PLANNED);
    const gauges = await world.redis.hgetall(keys.metricGauges);
    const { report } = await world.first.call('invoke', 'schedule', 'next');
    expect(report).toMatchObject({ status: 'success', planned: PLANNED, warmed: PLANNED });
    expect(await world.countStored()).toBe(PLANNED);
    expect((await world.lastReport()).traceId).toBe('next');
    expect(await world.redis.hgetall(keys.metricGauges)).not.toEqual(gauges);
  });
});

describe.concurrent('what started a warm-up', () => {
  /** What it was pushed, oldest first. */
  async function openPushgateway({ onTestFinished }: TestContext): Promise<{ url: string; pages: string[] }> {
    const pages: string[] = [];
    const server = createServer(async (request, response) => {
      pages.push((await request.setEncoding('utf8').toArray()).join(''));
      response.writeHead(200).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pages };
  }

  const linesOf = (output: string, traceId: string) =>
    output
      .split('\n')
      .filter((line) => line.includes(`"traceId":"${traceId}"`))
      .map((line) => JSON.parse(line) as { message: string; trigger?: string });

  it('is told in its report, its log lines and its metrics; a deployment has half a second before', async (context) => {
    const { expect } = context;
    const { url, pages } = await openPushgateway(context);
    const world = await enter(context, url);
    for (const trigger of TRIGGERS) {
      const { report, beganAtMs } = await world.first.call('invoke', trigger, `${trigger}-run`);
      expect(report).toMatchObject({ trigger, status: 'success' });
      expect((await world.lastReport()) satisfies WarmupReport).toMatchObject({ trigger });
      const firstReadAtMs = Math.min(...(await world.stored()).values()) / 1_000;
      if (trigger === 'deploy') expect(firstReadAtMs - beganAtMs).toBeGreaterThanOrEqual(DEPLOY_DELAY_MS - 5);
      else expect(report.durationMs).toBeLessThan(5_000);
    }
    await world.redis.set(LOCK, 'other', 'PX', LOCK_TTL_MS);
    await world.first.call('invoke', 'manual', 'skipped-run');
    for (const trigger of TRIGGERS) {
      const told = linesOf(world.first.output(), `${trigger}-run`).filter((line) => line.trigger === trigger);
      expect(told.map(({ message }) => message)).toEqual(['Warm-up triggered.', 'Warm-up ended: success.']);
      expect(pages.at(-1)).toContain(`cache_warmup_runs_total{trigger="${trigger}",status="success"} 1\n`);
    }
    const totals = await world.redis.hgetall(keys.metricTotals);
    expect(totals).toMatchObject({
      ...Object.fromEntries(TRIGGERS.map((trigger) => [`cache_warmup_runs_total|${trigger}|success`, '1'])),
      'cache_warmup_runs_total|manual|skipped': '1',
    });
  });
});
