/** What `npm run test:repeat` makes of its arguments, and of what its runs report. */
import { describe, expect, it } from 'vitest';
import { readRepeatOptions } from '../../repeat/options.ts';
import { failuresOf, type RunResult, summarise } from '../../repeat/summary.ts';

const DIR = '/project/';

type TestOfRun = { readonly title: string; readonly status?: string; readonly ms?: number };

function run(file: string, tests: readonly TestOfRun[], exitCode = 0): RunResult {
  const assertionResults = tests.map(({ title, status = 'passed', ms = 1 }) => ({
    fullName: title,
    status,
    duration: ms,
  }));
  const status = tests.some((test) => test.status === 'failed') ? 'failed' : 'passed';
  const endTime = tests.reduce((sum, { ms = 1 }) => sum + ms, 0);
  const testResults = [{ name: `${DIR}${file}`, status, startTime: 0, endTime, assertionResults }];
  return { exitCode, tookMs: 1, report: { testResults } };
}

describe('the options', () => {
  it('are ten runs without busy loops, of all tests', () => {
    expect(readRepeatOptions([])).toEqual({ help: false, runs: 10, busy: 0, vitestArgs: [] });
  });

  it('take how many of both, and names of files', () => {
    const options = readRepeatOptions(['--runs', '3', '--busy', '2', 'warmers', 'pace']);
    expect(options).toEqual({ help: false, runs: 3, busy: 2, vitestArgs: ['warmers', 'pace'] });
  });

  it.each([
    [['--runs', '0'], '--runs must be a whole number from 1 to 1000, but is "0".'],
    [['--runs', '1.5'], '--runs must be a whole number'],
    [['--busy', 'many'], '--busy must be a whole number from 0 to 64, but is "many".'],
  ])('refuse %j', (args, message) => {
    expect(() => readRepeatOptions(args)).toThrow(message);
  });
});

describe('the failures of a run', () => {
  it('are none when it is green', () => {
    expect(failuresOf(run('a.test.ts', [{ title: 'one' }]), DIR)).toEqual([]);
  });

  it('are its failed tests, by file and title', () => {
    const failed = run('a.test.ts', [{ title: 'one', status: 'failed' }, { title: 'two' }], 1);
    expect(failuresOf(failed, DIR)).toEqual(['a.test.ts > one']);
  });

  it('are its files that could not be run', () => {
    const file = { name: `${DIR}a.test.ts`, status: 'failed', startTime: 0, endTime: 1 };
    const testResults = [{ ...file, message: 'No server\nat line 1', assertionResults: [] }];
    const failed: RunResult = { exitCode: 1, tookMs: 1, report: { testResults } };
    expect(failuresOf(failed, DIR)).toEqual(['a.test.ts (No server)']);
  });

  it.each([
    ['without a report', { exitCode: 1, tookMs: 1, report: undefined }],
    ['with green tests and an error between them', run('a.test.ts', [{ title: 'one' }], 1)],
    ['by a signal', { exitCode: null, tookMs: 1, report: undefined }],
  ])('are the run itself when it ended %s', (_, result) => {
    expect(failuresOf(result, DIR)).toEqual(['the run itself, outside of any test']);
  });
});

describe('the summary', () => {
  it('names each test that failed in any run, with how often, the most frequent first', () => {
    const once = run('a.test.ts', [{ title: 'seldom', status: 'failed' }], 1);
    const often = run('b.test.ts', [{ title: 'often', status: 'failed' }], 1);
    const text = summarise([once, often, often], DIR);
    expect(text).toMatch(/2 of 3 runs: b\.test\.ts > often\n {2}1 of 3 runs: a\.test\.ts > seldom\n$/);
  });

  it('says that all are green', () => {
    expect(summarise([run('a.test.ts', [{ title: 'one' }])], DIR)).toContain('All 1 runs are green.');
  });

  it('lists the slowest twenty tests and files, each in its slowest run', () => {
    const titles = Array.from({ length: 25 }, (_, index) => ({ title: `test ${index}`, ms: 1_000 * index }));
    const slow = run('a.test.ts', [{ title: 'test 3', ms: 90_000 }]);
    const lines = summarise([run('a.test.ts', titles), slow], DIR).split('\n');
    const tests = lines.filter((line) => / s {2}a\.test\.ts > /.test(line));
    expect(tests).toHaveLength(20);
    expect(tests.slice(0, 2)).toEqual(['    90.0 s  a.test.ts > test 3', '    24.0 s  a.test.ts > test 24']);
    expect(lines).toContain('   300.0 s  a.test.ts');
  });
});
