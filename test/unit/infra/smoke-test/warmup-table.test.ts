/** A warm-up's report as a terminal shows it. */
import { describe, expect, it } from 'vitest';
import { formatReport } from '../../../../infra/smoke-test/warmup-table.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';

const REPORT: WarmupReport = {
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

describe('formatReport', () => {
  it('shows trigger, traceId, and each step with its time, attempts and keys', () => {
    expect(formatReport(REPORT).split('\n')).toEqual([
      'Warm-up partial   trigger deploy   traceId 0b9e5c1e   412 ms',
      '  step          status      time   attempts   planned   warmed   absent   skipped   failed',
      '  top-users     success   301 ms          1     1,000    1,000        0         0        0',
      '  user-search   failed     80 ms          4        20        0        0         0       20',
      '  1,000 of 1,020 keys warmed',
      '  user-search: 20 failed: timeout',
    ]);
  });

  it('says whose warm-up holds the lock when it was skipped', () => {
    const skipped = formatReport({ ...REPORT, status: 'skipped', steps: [], holderTraceId: 'other' });
    expect(skipped).toContain('another warm-up, other, holds the lock');
  });
});
