/** Metrics on their way: counted in containers, added up in Redis, published to a real Pushgateway. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { bundleOptions } from '../../../../infra/constructs/bundled-code.ts';
import { log } from '../../../../shared/logger.ts';
import { FleetTotals } from '../../../../shared/metrics/fleet-totals.ts';
import { lastPushFailure } from '../../../../shared/metrics/publisher.ts';
import { Recorder } from '../../../../shared/metrics/recorder.ts';
import { type CountedCache, Telemetry } from '../../../../shared/metrics/telemetry.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';
import { countWarmup, warmupGauges } from '../../../../shared/warming/warmup-metrics.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { startOwnPushgateway } from '../../../support/own-processes.ts';
import { watchCommands } from '../../../support/sent-commands.ts';
import { type IsolatedServers, isolatedServers, startOwnRedis } from '../../../support/servers.ts';

/** Patient, so that a busy machine does not make a Redis look away that is well. */
const GUARD = { ...REQUEST_GUARD, timeoutMs: 1_000 };

let servers: IsolatedServers;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
});
beforeEach(async () => {
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, GUARD));
  await redis.run((client) => client.flushdb());
});
afterEach(async () => {
  await fetch(new URL('/metrics/job/prewarm/stage/test', servers.pushgatewayUrl), { method: 'DELETE' });
});

const STAGE = 'test';
const pushgateway = () => ({ url: servers.pushgatewayUrl, stage: STAGE });

function countedCache(counts: Partial<CountedCache['counts']>): CountedCache {
  return { name: 'users', counts: { l1: 0, hydrated: 0, l2: 0, stale: 0, miss: 0, corrupt: 0, ...counts } };
}

async function scrape(): Promise<string> {
  const answer = await fetch(new URL('/metrics', servers.pushgatewayUrl));
  return answer.text();
}

const report: WarmupReport = {
  traceId: 't',
  trigger: 'deploy',
  status: 'success',
  startedAt: new Date(0).toISOString(),
  durationMs: 1_500,
  planned: 7,
  warmed: 7,
  absent: 0,
  skipped: 0,
  failed: 0,
  steps: [
    {
      name: 'top-users',
      status: 'success',
      durationMs: 10,
      plannedFromReads: 3,
      attempts: 1,
      planned: 7,
      warmed: 7,
      absent: 0,
      skipped: 0,
      failed: 0,
      failures: [],
    },
  ],
};

describe('telemetry', () => {
  it('adds up what several containers counted, under the names of the requirement', async () => {
    for (const l1 of [10, 3]) {
      const cache = countedCache({ l1, miss: 1 });
      await new Telemetry(redis, pushgateway(), [cache]).publishNow();
      expect(cache.counts).toMatchObject({ l1: 0, miss: 0 });
    }
    const text = await scrape();
    expect(text).toMatch(/^cache_hits_total\{[^}]*layer="l1"[^}]*\} 13$/m);
    expect(text).toMatch(/^cache_misses_total\{[^}]*dataset="users"[^}]*\} 2$/m);
    expect(text).toMatch(/^redis_memory_usage_bytes\{[^}]*\} \d/m);
    expect(text).toContain('# TYPE cache_hits_total counter');
  });

  it('is published by bundled code too, where the metrics library is a file of its own', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'prewarm-telemetry-'));
    buildSync({ ...bundleOptions('shared/metrics/telemetry.ts', dir), sourcemap: false });
    const bundled = (await import(join(dir, 'index.mjs'))) as { Telemetry: typeof Telemetry };
    await new bundled.Telemetry(redis, pushgateway(), [countedCache({ stale: 6 })]).publishNow();
    rmSync(dir, { recursive: true });
    expect(await scrape()).toMatch(/^cache_hits_total\{[^}]*layer="stale"[^}]*\} 6$/m);
  });

  it('tells how a warm-up ended', async () => {
    const telemetry = new Telemetry(redis, pushgateway(), []);
    countWarmup(telemetry.recorder, report);
    await telemetry.publishNow({ order: 1, values: warmupGauges(report) });
    const text = await scrape();
    expect(text).toMatch(/^cache_warmup_duration_seconds\{[^}]*\} 1\.5$/m);
    expect(text).toMatch(/^cache_warmup_status\{[^}]*\} 1$/m);
    expect(text).toMatch(/^cache_keys_warmed\{[^}]*step="top-users"[^}]*\} 7$/m);
    expect(text).toMatch(/^cache_warmup_runs_total\{[^}]*status="success",trigger="deploy"[^}]*\} 1$/m);
  });

  it('tells nothing of a run that was skipped but that there was one', () => {
    expect(warmupGauges({ ...report, status: 'skipped', steps: [] }).size).toBe(0);
  });

  it('tells that a step warmed nothing when it could not even choose', () => {
    const [step] = report.steps;
    const failed = { ...step, status: 'failed', planned: 0, warmed: 0 } as (typeof report.steps)[number];
    const gauges = warmupGauges({ ...report, status: 'failed', steps: [failed] });
    expect(gauges.get('cache_keys_warmed|top-users')).toBe(0);
  });

  it('keeps what the later owner of the lock told when an earlier one tells late', async () => {
    const telemetry = new Telemetry(redis, pushgateway(), []);
    await telemetry.publishNow({ order: 2, values: warmupGauges(report) });
    await telemetry.publishNow({ order: 1, values: warmupGauges({ ...report, durationMs: 9_000 }) });
    expect(await scrape()).toMatch(/^cache_warmup_duration_seconds\{[^}]*\} 1\.5$/m);
  });

  it('of two stages that share a Pushgateway are two groups, and neither replaces the other', async () => {
    const other = await isolatedServers({ seeded: false });
    const otherRedis = new GuardedRedis(other.redisUrl, GUARD);
    const groupOf = (stage: string) => new URL(`/metrics/job/prewarm/stage/${stage}`, servers.pushgatewayUrl);
    onTestFinished(async () => {
      otherRedis.close();
      await fetch(groupOf('other'), { method: 'DELETE' });
    });
    const missesOf = async (stage: string) =>
      new RegExp(`^cache_misses_total\\{[^}]*stage="${stage}"[^}]*\\} (\\d+)$`, 'm').exec(
        await scrape(),
      )?.[1];
    await new Telemetry(redis, pushgateway(), [countedCache({ miss: 3 })]).publishNow();
    const elsewhere = { ...pushgateway(), stage: 'other' };
    await new Telemetry(otherRedis, elsewhere, [countedCache({ miss: 500 })]).publishNow();
    expect([await missesOf(STAGE), await missesOf('other')]).toEqual(['3', '500']);
  });

  it('that somebody else pushes as another type are named, in the log and in the status, until they are taken', async () => {
    const url = await startOwnPushgateway();
    const foreign = new URL('/metrics/job/somebody-else', url);
    const body = '# TYPE cache_misses_total gauge\ncache_misses_total 1\n';
    expect((await fetch(foreign, { method: 'POST', body })).ok).toBe(true);
    const warn = vi.spyOn(log, 'warn');
    onTestFinished(() => warn.mockRestore());

    const telemetry = new Telemetry(redis, { url, stage: STAGE }, [countedCache({ miss: 3 })]);
    await telemetry.publishNow();
    const told = 'cache_misses_total is a gauge in {job="somebody-else"}, not a counter';
    const error = warn.mock.calls.map(([, , fields]) => (fields as { error?: Error }).error)[0];
    expect(error?.message).toContain(told);
    expect(await lastPushFailure(redis)).toEqual({
      at: expect.any(String),
      message: expect.stringContaining(told),
    });

    await fetch(foreign, { method: 'DELETE' });
    await redis.run((client) => client.del(keys.metricPublisher)); // left to run out
    await telemetry.publishNow();
    expect(await lastPushFailure(redis)).toBeNull();
    const page = await (await fetch(new URL('/metrics', url))).text();
    expect(page).toMatch(/^cache_misses_total\{[^}]*\} 3$/m);
  });

  it('is published by one of several containers that want to, and then by none for 14 s', async () => {
    let pushes = 0;
    const server = createServer((_, response) => {
      pushes++;
      response.end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const sent = await watchCommands(servers.redisUrl, keys.metricPublished);
    const telemetries = Array.from(
      { length: 5 },
      () => new Telemetry(redis, { url, stage: STAGE }, [countedCache({ l2: 1 })]),
    );
    await Promise.all(telemetries.map((telemetry) => telemetry.flushIfDue()));
    // What is late goes on.
    const counted = () => redis.run((client) => client.hget(keys.metricTotals, 'cache_hits_total|users|l2'));
    await expect.poll(counted).toBe('5');
    await expect.poll(() => pushes).toBe(1);
    const want = `set ${keys.metricPublished} 1 PX 14000 NX`;
    await expect.poll(() => sent().filter((command) => command === want)).toHaveLength(5);
    server.close();
    expect(pushes).toBe(1);
  });

  it('never fails when the Pushgateway is away', async () => {
    const telemetry = new Telemetry(redis, { url: 'http://127.0.0.1:1', stage: STAGE }, [
      countedCache({ l1: 1 }),
    ]);
    await expect(telemetry.publishNow()).resolves.toBeUndefined();
  });
});

describe('totals', () => {
  it('count a flush once, however often it is sent', async () => {
    const recorder = new Recorder();
    recorder.count('cache_misses_total', ['users'], 4);
    const flush = recorder.takeIncrements();
    for (let sent = 0; sent < 3; sent++) {
      await redis.run((client) =>
        client.addTotals(
          'prewarm:{metrics}:totals',
          'prewarm:{metrics}:flushed',
          flush?.id ?? '',
          60_000,
          ...[...(flush?.increments ?? [])].flat(),
        ),
      );
    }
    expect(await new FleetTotals(redis, recorder).read()).toEqual({ 'cache_misses_total|users': '4' });
  });

  it('keep what a warm-up measured while Redis is away', async () => {
    const own = await startOwnRedis();
    const ownRedis = closedAtEnd(new GuardedRedis(own.url, GUARD));
    await ownRedis.run((client) => client.ping());
    const totals = new FleetTotals(ownRedis, new Recorder());
    own.freeze();
    await expect(totals.add({ order: 3, values: warmupGauges(report) })).rejects.toThrow();
    own.thaw();
    await expect.poll(() => totals.add().catch(() => 'not yet')).toBeUndefined();
    expect(await totals.read()).toMatchObject({ 'cache_warmup_status|': '1' });
  });

  it('lose nothing when one hand-over begins before the other ended', async () => {
    const recorder = new Recorder();
    const totals = new FleetTotals(redis, recorder);
    const handOvers: Promise<void>[] = [];
    for (let count = 0; count < 20; count++) {
      recorder.count('cache_misses_total', ['users'], 1);
      handOvers.push(totals.add());
    }
    await Promise.all(handOvers);
    await totals.add();
    expect(await totals.read()).toEqual({ 'cache_misses_total|users': '20' });
  });

  it('keep what was counted while Redis is away', async () => {
    const recorder = new Recorder();
    recorder.count('cache_misses_total', ['users'], 4);
    const unreachable = closedAtEnd(new GuardedRedis('redis://127.0.0.1:1', REQUEST_GUARD));
    const totals = new FleetTotals(unreachable, recorder);
    await expect(totals.add()).rejects.toThrow();
    recorder.count('cache_misses_total', ['users'], 2);
    await expect(totals.add()).rejects.toThrow();
    expect(recorder.takeIncrements()?.increments.get('cache_misses_total|users')).toBe(2);
  });
});
