/** `npm run test:repeat`: runs the tests again and again, beside busy loops if asked to, and names each test that failed in any run. */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RepeatOptions, readRepeatOptions, USAGE } from './options.ts';
import { failuresOf, type JsonReport, type RunResult, summarise } from './summary.ts';

const PROJECT_DIR = fileURLToPath(new URL('../../', import.meta.url));
const VITEST = join(PROJECT_DIR, 'node_modules/vitest/vitest.mjs');
const BUSY_LOOP = fileURLToPath(new URL('./busy-loop.ts', import.meta.url));
const OUTPUT_SHOWN_MAX = 4_000;
const MS_PER_S = 1_000;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function readOptions(): RepeatOptions {
  try {
    return readRepeatOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nUsage: ${USAGE}\n`);
    process.exit(2);
  }
}

async function runOnce(vitestArgs: readonly string[], reportFile: string): Promise<RunResult> {
  const beganAtMs = performance.now();
  const reporters = ['--reporter=json', '--reporter=default', `--outputFile.json=${reportFile}`];
  const child = spawn(process.execPath, [VITEST, 'run', ...reporters, ...vitestArgs], {
    cwd: PROJECT_DIR,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  const end = () => child.kill('SIGTERM');
  process.once('exit', end);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [exitCode] = (await once(child, 'close')) as [number | null];
  process.off('exit', end);
  if (exitCode !== 0) print(output.slice(-OUTPUT_SHOWN_MAX));
  return { exitCode, tookMs: performance.now() - beganAtMs, report: readReport(reportFile) };
}

function readReport(file: string): JsonReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as JsonReport;
  } catch {
    return undefined; // the run ended before it wrote one
  }
}

function describe({ runs }: RepeatOptions, number: number, result: RunResult): string {
  const failures = failuresOf(result, PROJECT_DIR);
  const outcome = failures.length === 0 ? 'green' : `${failures.length} failed`;
  const line = `Run ${number} of ${runs}: ${outcome}, ${Math.round(result.tookMs / MS_PER_S)} s`;
  return [line, ...failures.map((name) => `  ${name}`)].join('\n');
}

async function repeat(options: RepeatOptions, folder: string): Promise<RunResult[]> {
  const results: RunResult[] = [];
  for (let number = 1; number <= options.runs; number++) {
    const result = await runOnce(options.vitestArgs, join(folder, `${number}.json`));
    print(describe(options, number, result));
    results.push(result);
  }
  return results;
}

const options = readOptions();
if (options.help) {
  print(`Runs \`npm test\` again and again, and names each test that failed in any run.\nUsage: ${USAGE}`);
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), 'prewarm-repeat-'));
const loops = Array.from({ length: options.busy }, () => fork(BUSY_LOOP, { execArgv: ['--no-warnings'] }));
// The loops end with this process.
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const results = await repeat(options, folder);
print(summarise(results, PROJECT_DIR));
for (const loop of loops) loop.kill('SIGKILL');
process.exitCode = results.every(({ exitCode }) => exitCode === 0) ? 0 : 1;
