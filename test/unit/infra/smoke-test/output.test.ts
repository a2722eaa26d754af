/** What the smoke test shows in a terminal, and the page that a job of GitHub gets. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { SmokeOutput } from '../../../../infra/smoke-test/output.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-report-'));
afterAll(() => rmSync(dir, { recursive: true }));

describe('the terminal', () => {
  function linesOf(env: NodeJS.ProcessEnv): string[] {
    const written: string[] = [];
    const output = new SmokeOutput(env, { write: (text) => written.push(text) });
    output.showFinding({ text: 'good' }, 1);
    output.showFinding({ text: 'doubtful', warning: '100 %\nof it.' }, 1);
    output.showFailure('broken', 'Mend it.');
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

it('the page of a job has the lines of the terminal, tables too, and is added to what other steps wrote', () => {
  const file = join(dir, 'summary.md');
  const output = new SmokeOutput({ GITHUB_STEP_SUMMARY: file }, { write: () => {} });
  output.showFinding({ text: 'GET /health: ok' }, 12.3);
  output.show('\nWarm-up success\n  top-users   20,000');
  output.writeSummary('Smoke test passed: https://first');
  output.showFailure('broken', 'Mend it.');
  output.writeSummary('Smoke test failed: https://second');

  const shown = '    ✓ GET /health: ok (12 ms)\n\n    Warm-up success\n      top-users   20,000\n';
  expect(readFileSync(file, 'utf8')).toBe(
    `## Smoke test passed: https://first\n\n${shown}\n` +
      `## Smoke test failed: https://second\n\n${shown}    ✗ broken\n      Mend it.\n\n`,
  );
});
