/** What many runs of the tests have in common: which tests failed in any of them, and which were the slowest. */

/** As vitest's JSON reporter writes it. */
export type JsonReport = {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    /** Why the file could not be run, if it could not. */
    readonly message?: string;
    readonly startTime: number;
    readonly endTime: number;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly duration?: number | null;
    }[];
  }[];
};

export type RunResult = {
  readonly exitCode: number | null;
  readonly tookMs: number;
  /** Undefined when the run ended before it wrote one. */
  readonly report: JsonReport | undefined;
};

const SLOWEST_MAX = 20;
const MS_PER_S = 1_000;
const ITSELF = 'the run itself, outside of any test';

/** Of one run: what failed, by file and title. A run that failed without a failed test has one name too. */
export function failuresOf({ exitCode, report }: RunResult, projectDir: string): string[] {
  const failures = (report?.testResults ?? []).flatMap(({ name, status, message, assertionResults }) => {
    const file = name.replace(projectDir, '');
    const tests = assertionResults.filter((test) => test.status === 'failed');
    if (tests.length > 0) return tests.map(({ fullName }) => `${file} > ${fullName}`);
    return status === 'failed' ? [`${file} (${message?.split('\n')[0] ?? 'its set-up'})`] : [];
  });
  return failures.length > 0 || exitCode === 0 ? failures : [ITSELF];
}

export function summarise(results: readonly RunResult[], projectDir: string): string {
  const failed = countEach(results.flatMap((result) => [...new Set(failuresOf(result, projectDir))]));
  return [
    ...slowest('files', results.map(filesOf), projectDir),
    ...slowest('tests', results.map(testsOf), projectDir),
    '',
    ...(failed.size === 0 ? [`All ${results.length} runs are green.`] : ['Failed:']),
    ...[...failed].map(([name, times]) => `  ${times} of ${results.length} runs: ${name}`),
    '',
  ].join('\n');
}

function countEach(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map([...counts].sort(([, one], [, other]) => other - one));
}

type Durations = readonly (readonly [name: string, ms: number])[];

function filesOf({ report }: RunResult): Durations {
  return (report?.testResults ?? []).map(({ name, startTime, endTime }) => [name, endTime - startTime]);
}

function testsOf({ report }: RunResult): Durations {
  return (report?.testResults ?? []).flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ fullName, duration }) => [`${name} > ${fullName}`, duration ?? 0] as const),
  );
}

/** By their longest time in any run. */
function slowest(what: string, runs: readonly Durations[], projectDir: string): string[] {
  const longestMs = new Map<string, number>();
  for (const [name, ms] of runs.flat()) longestMs.set(name, Math.max(ms, longestMs.get(name) ?? 0));
  const sorted = [...longestMs].sort(([, one], [, other]) => other - one).slice(0, SLOWEST_MAX);
  const lines = sorted.map(
    ([name, ms]) => `  ${(ms / MS_PER_S).toFixed(1).padStart(6)} s  ${name.replace(projectDir, '')}`,
  );
  return ['', `The slowest ${what}, each in its slowest run:`, ...lines];
}
