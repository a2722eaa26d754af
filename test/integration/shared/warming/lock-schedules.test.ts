/** Looks for an order of events in which a deployment's or an admin's warm-up is lost: random runs of several versions on one lock. */
import * as fc from 'fast-check';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../../../shared/warming/dataset-warmer.ts';
import { TRIGGERS, type WarmupReport } from '../../../../shared/warming/report.ts';
import { warmUp } from '../../../../shared/warming/warm-up.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { isolatedServers } from '../../../support/servers.ts';
import { NO_PLAN } from '../../../support/warm-ups.ts';

/** Who waits for the lock asks again at once. */
vi.mock('node:timers/promises', async (importOriginal) => ({
  ...(await importOriginal<typeof import('node:timers/promises')>()),
  setTimeout: () => new Promise((resolve) => setImmediate(resolve)),
}));

const SEED = Number(process.env['SCHEDULES_SEED'] ?? 20_260_101);
/** A tenth of what the schedules of the cache are: each takes some ten round trips a run. */
const SCHEDULES = Math.ceil(Number(process.env['SCHEDULES'] ?? 1_000) / 10);

type Run = {
  readonly trigger: WarmupReport['trigger'];
  readonly version: number;
  /** In round trips to Redis: before it begins, and while it works. */
  readonly startsAfter: number;
  readonly worksFor: number;
  /** It is told to end while it works. */
  readonly isStopped: boolean;
};

const run: fc.Arbitrary<Run> = fc.record({
  trigger: fc.constantFrom(...TRIGGERS),
  version: fc.constantFrom(1, 2),
  startsAfter: fc.nat({ max: 12 }),
  worksFor: fc.nat({ max: 12 }),
  isStopped: fc.boolean(),
});

let redis: GuardedRedis;
let active: number;
/** The versions whose keys were warmed, by whom. */
let warmed: string[];

beforeAll(async () => {
  const servers = await isolatedServers({ seeded: false });
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: 30_000 }));
});
beforeEach(() => {
  active = 0;
  warmed = [];
});

async function passRoundTrips(count: number): Promise<void> {
  for (let round = 0; round < count; round++) await redis.run((client) => client.ping());
}

function targetOf(
  { version, worksFor, isStopped }: Run,
  traceId: string,
  stop: AbortController,
): WarmableDataset {
  return {
    step: 'all',
    name: 'all',
    async plan() {
      active++;
      expect(active, 'runs at once').toBe(1);
      await passRoundTrips(worksFor);
      if (isStopped) stop.abort(new Error('told to end'));
      else warmed.push(`${traceId} warmed version ${version}`);
      active--;
      return NO_PLAN;
    },
    generation: async () => '1',
    missing: async () => [],
    bytesOfOne: async () => 0,
    drop: async () => {},
    isDatabaseWell: async () => true,
  };
}

async function start(run: Run, traceId: string): Promise<WarmupReport> {
  await passRoundTrips(run.startsAfter);
  const stop = new AbortController();
  return warmUp({
    traceId,
    trigger: run.trigger,
    redis,
    connect: async () => {},
    datasets: [targetOf(run, traceId, stop)],
    signal: stop.signal,
    recordMetrics: async () => {},
  });
}

it(`no warm-up of a deployment or by hand is lost in any of ${SCHEDULES} orders of runs`, {
  timeout: 600_000, // a bound against hanging
}, async () => {
  const property = fc.asyncProperty(fc.array(run, { minLength: 2, maxLength: 6 }), async (runs) => {
    [active, warmed] = [0, []];
    const traceIds = runs.map((_, index) => `run-${index}`);
    const reports = await Promise.all(runs.map((run, index) => start(run, traceIds[index] as string)));
    for (const [index, { trigger, isStopped, version }] of runs.entries()) {
      const { status, holderTraceId } = reports[index] as WarmupReport;
      const mine = `run-${index} warmed version ${version}`;
      if (status === 'skipped') {
        expect(trigger, 'who may be skipped').toBe('schedule');
        expect(traceIds).toContain(holderTraceId);
      } else if (isStopped) expect(warmed).not.toContain(mine);
      else {
        expect(status).toBe('success');
        expect(warmed).toContain(mine);
      }
    }
    expect(await redis.run((client) => client.exists(keys.warmupLock)), 'lock left').toBe(0);
  });
  await fc.assert(property, { numRuns: SCHEDULES, seed: SEED });
});
