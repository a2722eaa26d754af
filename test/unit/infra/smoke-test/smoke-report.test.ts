/** What the smoke test says of a warm-up, and the page that a job of GitHub gets. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeFate, SmokeReport } from '../../../../infra/smoke-test/smoke-report.ts';
import type { WarmupReport } from '../../../../shared/warming/report.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-report-'));
afterAll(() => rmSync(dir, { recursive: true }));

const partial: WarmupReport = {
  traceId: 'trace-1',
  trigger: 'deploy',
  status: 'partial',
  startedAt: '2026-07-01T00:00:00.000Z',
  durationMs: 1234.5,
  planned: 1_200,
  warmed: 1_000,
  absent: 0,
  skipped: 0,
  failed: 200,
  aborted: "The function's time is nearly used up.",
  steps: [
    {
      name: 'top-users',
      status: 'partial',
      durationMs: 1_000.4,
      attempts: 4,
      planned: 1_200,
      warmed: 1_000,
      absent: 0,
      skipped: 0,
      failed: 200,
      plannedFromReads: 30,
      failures: [{ cause: 'timeout | 1 s', keys: 200 }],
    },
  ],
};
const success: WarmupReport = { ...partial, status: 'success' };

describe('a warm-up', () => {
  it('that succeeded is good', () => {
    expect(describeFate({ kind: 'reported', report: success }, 'trace-1')).toEqual({
      text: "The deployment's warm-up trace-1: success",
    });
  });

  it('that was not needed, because another one succeeded, is good, and that one is named', () => {
    expect(describeFate({ kind: 'replaced', report: success }, 'own')).toEqual({
      text: "The deployment's warm-up own was skipped, because the warm-up trace-1 held the lock: success",
    });
  });

  it.each([
    ['reported', { kind: 'reported', report: partial }, 'warm-up trace-1: partial'],
    ['replaced', { kind: 'replaced', report: partial }, 'held the lock: partial'],
    ['running', { kind: 'running' }, 'warm-up own is still running'],
    ['held', { kind: 'held', holderTraceId: 'other' }, 'the warm-up other holds the lock'],
    [
      'missing',
      { kind: 'missing', newest: partial },
      'the newest is trace-1 (deploy, partial, started 2026-07-01',
    ],
    ['missing from the start', { kind: 'missing' }, 'no report; the newest is none'],
    ['unknown', { kind: 'redis-away' }, 'warm-up own is unknown'],
  ] as const)('that is %s otherwise is a warning with something to do', (_, fate, text) => {
    const finding = describeFate(fate, 'own');

    expect(finding.text).toContain(text);
    expect(finding.warning).toMatch(/\w+.*\.$/);
  });
});

describe('the terminal', () => {
  function linesOf(env: NodeJS.ProcessEnv): string[] {
    const written: string[] = [];
    const report = new SmokeReport(env, { write: (text) => written.push(text) });
    report.add({ text: 'good' }, 1);
    report.add({ text: 'doubtful', warning: '100 %\nof it.' }, 1);
    report.addFailure('broken', 'Mend it.');
    return written;
  }

  it('marks what is good, what somebody should look at, and what is broken', () => {
    expect(linesOf({})).toEqual([
      '✓ good (1 ms)\n',
      '! doubtful (1 ms)\n',
      '  100 %\nof it.\n',
      '✗ broken\n',
      '  Mend it.\n',
    ]);
  });

  it('of a job of GitHub gets a command for each warning and failure, on one line', () => {
    const commands = linesOf({ GITHUB_ACTIONS: 'true' }).filter((line) => line.startsWith('::'));

    expect(commands).toEqual([
      '::warning title=Smoke test::doubtful. 100 %25%0Aof it.\n',
      '::error title=Smoke test::broken. Mend it.\n',
    ]);
  });
});

describe('the page', () => {
  function pageOf(name: string, write: (report: SmokeReport) => void): string {
    const file = join(dir, name);
    write(new SmokeReport({ GITHUB_STEP_SUMMARY: file }, { write: () => {} }));
    return readFileSync(file, 'utf8');
  }

  it('has a row for each step, the total, the traceId, the failures and the address', () => {
    const page = pageOf('partial.md', (report) => report.writeSummary('https://api', 'passed', partial));

    expect(page).toContain('## Smoke test passed: https://api\n');
    expect(page).toContain('### Warm-up partial, trigger deploy, 1235 ms\n');
    expect(page).toContain(
      [
        '| step | status | time | attempts | planned | warmed | absent | skipped | failed |',
        '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
        '| top-users | partial | 1000 ms | 4 | 1,200 | 1,000 | 0 | 0 | 200 |',
        '',
        '1,000 of 1,200 keys warmed, 30 of them planned because people read them; traceId `trace-1`',
        '',
        "Ended early: The function's time is nearly used up.",
        '',
        'top-users: 200 failed: timeout | 1 s',
      ].join('\n'),
    );
  });

  it('has the lines of the terminal, and is added to what other steps wrote', () => {
    const page = pageOf('twice.md', (report) => {
      report.add({ text: 'GET /health: ok' }, 12.3);
      report.writeSummary('https://first', 'passed');
      report.addFailure('broken', 'Mend it.');
      report.writeSummary('https://second', 'failed');
    });

    expect(page).toContain('https://first\n\n    ✓ GET /health: ok (12 ms)\n');
    expect(page).toContain('https://second\n\n    ✓ GET /health: ok (12 ms)\n    ✗ broken\n      Mend it.\n');
  });
});
