/** What one run of a warmer comes through, in a process with the real handler: what always fails, its deadline, a clear, a Redis that loses everything. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it, type TestContext } from 'vitest';
import { openCaches } from '../../../../shared/caches.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { TRIGGERS, type WarmupReport } from '../../../../shared/warming/report.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { openWorld, PLANNED, USERS, USERS_LOAD, type World } from '../../../support/warmer-world.ts';

const LOCK = keys.warmupLock;
const LOCK_TTL_MS = 30_000;
const RENEW_EVERY_MS = 5_000;
const BATCH = 250;
/** What the handler keeps of the function's time. */
const CLOSING_MS = 9_000;
/** Between the tries of what fails. */
const DELAYS_MS = [1_000, 2_000, 4_000];
const DEPLOY_DELAY_MS = 500;

async function enter({ onTestFinished }: TestContext, pushgatewayUrl?: string): Promise<World> {
  const world = await openWorld(pushgatewayUrl);
  onTestFinished(() => world.end());
  return world;
}

/** The caches as a container that reads sees them, now. */
function openReader(world: World) {
  const redis = closedAtEnd(new GuardedRedis(world.redisUrl, REQUEST_GUARD));
  const database = closedAtEnd(new Database(world.databaseUrl));
  return openCaches(redis, database);
}

/**
 * Reading users 300 and 700, who are of two batches, fails. Nobody finds them by a name.
 */
const SPOIL_USERS = `
CREATE FUNCTION spoiled(id bigint) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'user % is spoiled', id;
END $$;
UPDATE users SET display_name = 'X' WHERE id IN (300, 700);
ALTER TABLE users RENAME TO all_users;
CREATE VIEW users AS
SELECT id, username, display_name, CASE WHEN id IN (300, 700) THEN spoiled(id) ELSE bio END AS bio, avatar_url,
  location, follower_count, created_at, updated_at, search_text
FROM all_users`;

/** What the lock has to live, looked at again and again. */
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
  it('are tried again 1, 2 and 4 s after they failed, while the rest is warmed and the lock renewed', async (context) => {
    const { expect } = context;
    const world = await enter(context);
    await world.admin.query(SPOIL_USERS);
    const triedAtMs = world.databaseProxy.timesOf('"700"');
    const run = world.first.call('invoke', 'manual', 'run');
    const ttlsMs = await ttlsDuring(world, run);
    const { report } = await run;
    expect(report).toMatchObject({ status: 'partial', planned: PLANNED, skipped: 0, failed: 2 * BATCH });
    expect(report.warmed).toBe(PLANNED - 2 * BATCH);
    expect(await world.countStored()).toBe(report.warmed);
    const failed = report.steps.filter(({ status }) => status !== 'success');
    expect(failed.map(({ name, status }) => [name, status])).toEqual([['top-users', 'partial']]);
    expect(report.steps.map(({ name }) => name)).toEqual(expect.arrayContaining(['user-search', 'hot-keys']));
    expect(report.steps[1]?.attempts).toBe(4);
    const failedKeys = report.steps[1]?.failures.map(({ keys }) => keys) ?? [];
    expect(failedKeys.reduce((sum, keys) => sum + keys, 0)).toBe(2 * BATCH);
    // On a busy machine a try may end before it has come to Postgres: then two others are further apart.
    const apartMs = triedAtMs.slice(1).map((atMs, place) => atMs - (triedAtMs[place] ?? 0));
    const tooEarly = apartMs.filter((ms, place) => ms < (DELAYS_MS[place] ?? Number.POSITIVE_INFINITY) - 5);
    expect(tooEarly).toEqual([]);
    expect(report.steps[1]?.durationMs).toBeGreaterThanOrEqual(DELAYS_MS.reduce((sum, ms) => sum + ms) - 5);
    expect(report.durationMs).toBeGreaterThan(RENEW_EVERY_MS);
    expect(ttlsMs.filter((ttlMs, place) => ttlMs > (ttlsMs[place - 1] ?? LOCK_TTL_MS))).not.toHaveLength(0);
  });
});

describe.concurrent('a warm-up whose time is nearly used up', () => {
  /**
   * More than the first load needs on any machine; and less than 2.3 s, when a load that was given up after a second is
   * tried again: that one would go on into the next run, and be counted there.
   */
  const RUNS_MS = 2_200;

  /** Postgres stops answering at the second load, and the run's time ends soon after. */
  async function runShort({ first, databaseProxy }: World, traceId: string) {
    const loading = databaseProxy.hangAt(USERS_LOAD, 2);
    const remainingMs = CLOSING_MS + RUNS_MS;
    const run = first.call('invoke', 'manual', traceId, remainingMs);
    await loading;
    const { report } = await run; // though Postgres does not answer
    await databaseProxy.recover();
    return report;
  }

  it('stops in time, and the next ones carry on until everything is warm, each key once', async (context) => {
    const { expect } = context;
    const world = await enter(context);

    const report = await runShort(world, 'one');
    expect(report).toMatchObject({
      status: 'partial',
      aborted: "The function's time is nearly used up.",
      ...{ planned: USERS, skipped: 0, failed: USERS - report.warmed },
    });
    expect(report.steps[1]).toMatchObject({ name: 'top-users', attempts: 1 });
    expect(report.steps.at(-1)).toMatchObject({ name: 'hot-keys', status: 'success' });
    expect(await world.redis.exists(LOCK)).toBe(0);
    const one = await world.stored();
    expect(report.warmed).toBeGreaterThan(0);
    expect(one.size).toBeGreaterThanOrEqual(report.warmed); // what was on its way when the time ended may be stored

    expect(await runShort(world, 'two')).toMatchObject({ status: 'partial', skipped: one.size });
    const two = await world.stored();
    expect([...one].filter(([key, readAtUs]) => two.get(key) !== readAtUs)).toEqual([]);

    const { report: last } = await world.first.call('invoke', 'manual', 'three');
    expect(last).toMatchObject({ status: 'success', planned: PLANNED, skipped: two.size, failed: 0 });
    const three = await world.stored();
    expect([...two].filter(([key, readAtUs]) => three.get(key) !== readAtUs)).toEqual([]);
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
    const reader = openReader(world);
    await world.admin.query("UPDATE users SET bio = 'Before the clear' WHERE id = 1");
    const reached = world.databaseProxy.hangAt(text, times);
    const run = world.first.call('invoke', 'manual', 'run');
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
    for (const traceId of ['earlier', 'early']) await world.first.call('invoke', 'manual', traceId);
    const loading = world.databaseProxy.hangAt(USERS_LOAD, 3);
    const run = world.first.call('invoke', 'manual', 'run');
    await loading;
    await world.redis.flushdb();
    await world.databaseProxy.recover();
    expect((await run).report.planned).toBe(PLANNED);
    const gauges = await world.redis.hgetall(keys.metricGauges);
    const { report } = await world.first.call('invoke', 'manual', 'next');
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
      .map((line) => JSON.parse(line) as { event: string; message: string; trigger?: string });

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
    }
    await world.redis.set(LOCK, 'other', 'PX', LOCK_TTL_MS);
    await world.first.call('invoke', 'schedule', 'skipped-run');
    for (const trigger of TRIGGERS) {
      const told = linesOf(world.first.output(), `${trigger}-run`).filter((line) => line.trigger === trigger);
      expect(told.map(({ event }) => event)).toEqual(['warmup.triggered', 'warmup.finished']);
      expect(told.at(-1)?.message).toBe('Warm-up ended: success.');
      expect(pages.at(-1)).toContain(`cache_warmup_runs_total{trigger="${trigger}",status="success"} 1\n`);
    }
    const totals = await world.redis.hgetall(keys.metricTotals);
    expect(totals).toMatchObject({
      ...Object.fromEntries(TRIGGERS.map((trigger) => [`cache_warmup_runs_total|${trigger}|success`, '1'])),
      'cache_warmup_runs_total|schedule|skipped': '1',
    });
  });
});
