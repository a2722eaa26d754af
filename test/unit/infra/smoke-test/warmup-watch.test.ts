/** What became of a deployment's warm-up, told from one status after the other. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Status } from '../../../../infra/smoke-test/checks.ts';
import { watchWarmup } from '../../../../infra/smoke-test/warmup-watch.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';

const POLL_EVERY_MS = 1;

// The clock goes on with each question, whatever else takes time.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function reportOf(traceId: string, trigger: WarmupReport['trigger'] = 'deploy'): WarmupReport {
  const counts = { planned: 0, warmed: 0, absent: 0, skipped: 0, failed: 0 };
  const startedAt = '2026-07-01T00:00:00.000Z';
  return { traceId, trigger, status: 'success', startedAt, durationMs: 1, steps: [], ...counts };
}

function statusOf(runningTraceId: string | null, ...lastReports: WarmupReport[]): Status {
  return { redis: { available: true }, warmup: { runningTraceId, lastReports } };
}

/** Watches for `own` while the status goes on as listed; the last one stays. Also answers how often it was asked for. */
async function watch(
  statuses: readonly [Status, ...Status[]],
  waitMs = 10_000,
  whose: { traceId?: string } = { traceId: 'own' },
) {
  const [first, ...later] = statuses;
  let asked = 0;
  const readStatus = async () => {
    vi.advanceTimersByTime(POLL_EVERY_MS);
    return later[Math.min(asked++, later.length - 1)] ?? first;
  };
  const fate = await watchWarmup(first, readStatus, { ...whose, waitMs, pollEveryMs: POLL_EVERY_MS });
  return { fate, asked };
}

const old = reportOf('old', 'schedule');
const own = reportOf('own');
const other = reportOf('other', 'schedule');

describe('a warm-up', () => {
  it('that has ended is found at once', async () => {
    const { fate, asked } = await watch([statusOf(null, own, old)]);

    expect(fate).toEqual({ kind: 'reported', report: own });
    expect(asked).toBe(0);
  });

  it('that runs, or has not begun, is waited for', async () => {
    const { fate, asked } = await watch([
      statusOf(null, old),
      statusOf('own', old),
      statusOf(null, own, old),
    ]);

    expect(fate).toEqual({ kind: 'reported', report: own });
    expect(asked).toBe(2);
  });

  it('without a traceId is the newest that a deployment started', async () => {
    const { fate } = await watch([statusOf('other', old, own)], 0, {});

    expect(fate).toEqual({ kind: 'reported', report: own });
  });

  it('that found the lock held is told by the run that held it, once that has ended', async () => {
    const { fate } = await watch([
      statusOf('other', old),
      statusOf('other', old),
      statusOf(null, other, old),
    ]);

    expect(fate).toEqual({ kind: 'replaced', report: other });
  });

  it('that waited for another one to end is told by its own report', async () => {
    const { fate } = await watch([
      statusOf('other', old),
      statusOf('own', other),
      statusOf(null, own, other),
    ]);

    expect(fate).toEqual({ kind: 'reported', report: own });
  });
});

describe('when the time is up', () => {
  it.each<[string, [Status, ...Status[]], object]>([
    ['it still runs', [statusOf('own', old)], { kind: 'running' }],
    ['another one holds the lock', [statusOf('other', old)], { kind: 'held', holderTraceId: 'other' }],
    ['nothing is known of it', [statusOf(null, old)], { kind: 'missing', newest: old }],
    ['nothing ever ran', [statusOf(null)], { kind: 'missing' }],
    ['Redis is away', [{ redis: { available: false } }], { kind: 'redis-away' }],
  ])('%s', async (_, statuses, expected) => {
    const { fate, asked } = await watch(statuses, 5 * POLL_EVERY_MS);

    expect(fate).toEqual(expected);
    expect(asked).toBe(5);
  });

  it('a run that ended before the watch began is not taken for the one that held the lock', async () => {
    const { fate } = await watch([statusOf(null, other)], 5 * POLL_EVERY_MS);

    expect(fate).toEqual({ kind: 'missing', newest: other });
  });

  it('of no length, one look is enough', async () => {
    const { fate, asked } = await watch([statusOf('own')], 0);

    expect(fate).toEqual({ kind: 'running' });
    expect(asked).toBe(0);
  });
});
