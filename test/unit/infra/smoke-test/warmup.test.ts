/** What became of a deployment's warm-up, told from one status after the other, and its report as a terminal shows it. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Status } from '../../../../infra/smoke-test/checks.ts';
import { formatReport, watchWarmup } from '../../../../infra/smoke-test/warmup.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';

const POLL_EVERY_MS = 1;

// The clock goes on with each question, whatever else takes time.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

function reportOf(
  traceId: string,
  trigger: WarmupReport['trigger'] = 'deploy',
  status: WarmupReport['status'] = 'success',
): WarmupReport {
  const counts = { planned: 0, warmed: 0, absent: 0, skipped: 0, failed: 0 };
  const startedAt = '2026-07-01T00:00:00.000Z';
  return { traceId, trigger, status, startedAt, durationMs: 1, steps: [], ...counts };
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
  const outcome = await watchWarmup(first, readStatus, { ...whose, waitMs, pollEveryMs: POLL_EVERY_MS });
  return { outcome, asked };
}

const old = reportOf('old', 'schedule');
const own = reportOf('own');
const other = reportOf('other', 'schedule');

describe('a warm-up', () => {
  it('that has ended is found at once', async () => {
    const { outcome, asked } = await watch([statusOf(null, own, old)]);

    expect(outcome).toEqual({ text: "The deployment's warm-up own: success", report: own });
    expect(asked).toBe(0);
  });

  it('that runs, or has not begun, is waited for', async () => {
    const { outcome, asked } = await watch([
      statusOf(null, old),
      statusOf('own', old),
      statusOf(null, own, old),
    ]);

    expect(outcome).toEqual({ text: "The deployment's warm-up own: success", report: own });
    expect(asked).toBe(2);
  });

  it('without a traceId is the newest that a deployment started', async () => {
    const { outcome } = await watch([statusOf('other', old, own)], 0, {});

    expect(outcome).toEqual({ text: "The deployment's warm-up own: success", report: own });
  });

  it('that found the lock held is told by the run that held it, once that has ended', async () => {
    const { outcome } = await watch([
      statusOf('other', old),
      statusOf('other', old),
      statusOf(null, other, old),
    ]);

    expect(outcome).toEqual({
      text: "The deployment's warm-up own was skipped, because the warm-up other held the lock: success",
      report: other,
    });
  });

  it('that waited for another one to end is told by its own report', async () => {
    const { outcome } = await watch([
      statusOf('other', old),
      statusOf('own', other),
      statusOf(null, own, other),
    ]);

    expect(outcome).toEqual({ text: "The deployment's warm-up own: success", report: own });
  });
});

describe('a warm-up that did not succeed is a warning with something to do:', () => {
  const failed = 'The failures are below; POST /admin/warm-up tries again';
  const partial = reportOf('own', 'deploy', 'partial');
  const failedOther = reportOf('other', 'schedule', 'failed');

  it('its own report', async () => {
    const { outcome } = await watch([statusOf(null, partial)]);

    expect(outcome).toEqual({
      text: "The deployment's warm-up own: partial",
      warning: expect.stringContaining(failed),
      report: partial,
    });
  });

  it('that of the run that held the lock', async () => {
    const { outcome } = await watch([statusOf('other', old), statusOf(null, failedOther, old)]);

    expect(outcome).toEqual({
      text: expect.stringContaining('warm-up other held the lock: failed'),
      warning: expect.stringContaining(failed),
      report: failedOther,
    });
  });
});

describe('when the time is up, there is a warning with something to do:', () => {
  it.each<[string, [Status, ...Status[]], string]>([
    ['it still runs', [statusOf('own', old)], 'warm-up own is still running'],
    [
      'another one holds the lock',
      [statusOf('other', old)],
      'own has no report, and the warm-up other holds the lock',
    ],
    [
      'nothing is known of it',
      [statusOf(null, old)],
      'own has no report; the newest is old (schedule, success, started 2026-07-01T00:00:00.000Z)',
    ],
    ['nothing ever ran', [statusOf(null)], 'own has no report; the newest is none'],
    ['Redis is away', [{ redis: { available: false } }], 'warm-up own is unknown'],
  ])('%s', async (_, statuses, text) => {
    const { outcome, asked } = await watch(statuses, 5 * POLL_EVERY_MS);

    expect(outcome).toEqual({
      text: expect.stringContaining(text),
      warning: expect.stringMatching(/\w+.*\.$/),
    });
    expect(asked).toBe(5);
  });

  it('a run that ended before the watch began is not taken for the one that held the lock', async () => {
    const { outcome } = await watch([statusOf(null, other)], 5 * POLL_EVERY_MS);

    expect(outcome.text).toContain('own has no report; the newest is other');
    expect(outcome.report).toBeUndefined();
  });

  it('of no length, one look is enough', async () => {
    const { outcome, asked } = await watch([statusOf('own')], 0);

    expect(outcome.text).toContain('is still running');
    expect(asked).toBe(0);
  });
});

const partialReport: WarmupReport = {
  traceId: '0b9e5c1e',
  trigger: 'deploy',
  status: 'partial',
  startedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 412.4,
  planned: 1020,
  warmed: 1000,
  absent: 0,
  skipped: 0,
  failed: 20,
  steps: [
    {
      name: 'top-users',
      status: 'success',
      durationMs: 301.2,
      attempts: 1,
      planned: 1000,
      warmed: 1000,
      absent: 0,
      skipped: 0,
      failed: 0,
      failures: [],
    },
    {
      name: 'user-search',
      status: 'failed',
      durationMs: 80,
      attempts: 4,
      planned: 20,
      warmed: 0,
      absent: 0,
      skipped: 0,
      failed: 20,
      failures: [{ cause: 'timeout', keys: 20 }],
    },
  ],
};

describe('the report', () => {
  it('shows trigger, traceId, and each step with its time, attempts and keys', () => {
    expect(formatReport(partialReport).split('\n')).toEqual([
      'Warm-up partial   trigger deploy   traceId 0b9e5c1e   412 ms',
      '  step          status      time   attempts   planned   warmed   absent   skipped   failed',
      '  top-users     success   301 ms          1     1,000    1,000        0         0        0',
      '  user-search   failed     80 ms          4        20        0        0         0       20',
      '  1,000 of 1,020 keys warmed',
      '  user-search: 20 failed: timeout',
    ]);
  });

  it('says whose warm-up holds the lock when it was skipped', () => {
    const skipped = formatReport({ ...partialReport, status: 'skipped', steps: [], holderTraceId: 'other' });
    expect(skipped).toContain('another warm-up, other, holds the lock');
  });

  it('says how many keys were planned because people read them, and why the run ended early', () => {
    const [step] = partialReport.steps;
    const steps = step ? [{ ...step, plannedFromReads: 30 }] : [];
    const aborted = "The function's time is nearly used up.";

    expect(formatReport({ ...partialReport, steps, aborted })).toContain(
      [
        '  1,000 of 1,020 keys warmed, 30 of them planned because people read them',
        "  ended early: The function's time is nearly used up.",
      ].join('\n'),
    );
  });
});
