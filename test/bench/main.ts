/** `npm run bench`: measures Prewarm against its peers and the bare libraries, all in one run, on servers of its own. */
import { parseArgs } from 'node:util';
import { runFailingLoad, runStampede } from './cases/bursts.ts';
import { runForeground } from './cases/foreground.ts';
import { runFrozenRedis } from './cases/frozen-redis.ts';
import { runLargeTable } from './cases/large-table.ts';
import { runMemory } from './cases/memory.ts';
import { runMiss } from './cases/miss.ts';
import { runPromises } from './cases/promises.ts';
import { runScan } from './cases/scan.ts';
import { runSearches } from './cases/searches.ts';
import { runTimedCase, TIMED_CASES } from './cases/timed.ts';
import { runWarmUp } from './cases/warm-up.ts';
import { describeMachine, showMachine } from './report/machine.ts';
import { besideOthers } from './report/others.ts';
import { type Results, saveFigures, writeDocs } from './report/results.ts';
import { type CaseResult, report, toText } from './report/table.ts';
import type { CaseContext } from './rounds.ts';
import { startBenchRedis } from './servers.ts';
import { readArguments, readInteger, readNames, startBenchmark } from './start.ts';

/** In the order in which they run, each under the name that `--only` takes. */
const CASES: readonly (readonly [string, (context: CaseContext) => Promise<CaseResult>])[] = [
  ...TIMED_CASES.map((spec) => [spec.group, (context: CaseContext) => runTimedCase(spec, context)] as const),
  ['miss', runMiss],
  ['stampede', runStampede],
  ['failing', runFailingLoad],
  ['frozen', runFrozenRedis],
  // CDK, which builds the bundles, takes a second to load.
  ['import', async () => (await import('./cases/cold-import.ts')).runColdImport()],
  ['memory', runMemory],
  ['scan', runScan],
  ['warm-up', runWarmUp],
  ['large-table', runLargeTable],
  ['foreground', runForeground],
  ['searches', runSearches],
  ['promises', runPromises],
];
const NAMES = [...new Set(CASES.map(([name]) => name))];

/** Of the timed cases. Fewer would not give a spread worth reporting. */
const ROUNDS_MIN = 15;
const ROUNDS_DEFAULT = 41;
const ROUNDS_MAX = 500;
const USAGE = `Usage: npm run bench -- [--only ${NAMES.join(',')}] [--rounds N] [--write-docs]`;

type Options = { readonly names: readonly string[]; readonly rounds: number; readonly writesDocs: boolean };

/** Throws an error that says what is wrong with the arguments. */
function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: String(ROUNDS_DEFAULT) },
      'write-docs': { type: 'boolean', default: false },
    },
  });
  const names = readNames(values.only, NAMES, 'case');
  const writesDocs = values['write-docs'];
  if (writesDocs && names.length < NAMES.length) throw new Error('--write-docs takes a run of all cases.');
  return { names, rounds: readInteger('--rounds', values.rounds, ROUNDS_MIN, ROUNDS_MAX), writesDocs };
}

async function runCases({ names }: Options, context: CaseContext): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  const cases = CASES.filter(([name]) => names.includes(name));
  for (const [index, [name, run]] of cases.entries()) {
    report(`${index + 1} of ${cases.length}: ${name} …`);
    const result = await besideOthers(() => run(context)).catch((error) => {
      throw new Error(`The case ${name} (${index + 1} of ${cases.length}) failed.`, { cause: error });
    });
    process.stdout.write(toText(result));
    results.push(result);
  }
  return results;
}

async function runBench(options: Options): Promise<Results> {
  const startedAt = new Date();
  const redis = await startBenchRedis();
  try {
    const machine = await describeMachine(redis.admin);
    report(showMachine(machine));
    const { rounds } = options;
    const cases = await runCases(options, { redis, rounds });
    const tookSeconds = Math.round((Date.now() - startedAt.getTime()) / 1_000);
    return { startedAt: startedAt.toISOString(), tookSeconds, rounds, machine, cases };
  } finally {
    await redis.stop();
  }
}

const options = readArguments(readOptions, USAGE);
await startBenchmark();
const results = await runBench(options);
if (options.writesDocs) writeDocs(results);
const file = saveFigures(results.startedAt, JSON.stringify(results, undefined, 1));
report(`\n${results.tookSeconds} s; all figures: ${file}`);
