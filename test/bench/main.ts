/** `npm run bench`: measures Prewarm against its peers and the bare libraries, all in one run, on servers of its own. */
import type { CaseResult } from './cases/case-result.ts';
import { casesOf } from './cases/index.ts';
import { type BenchOptions, readBenchOptions, USAGE } from './options.ts';
import { installPeers } from './peers.ts';
import { describeMachine, showMachine } from './report/machine.ts';
import { besideOthers } from './report/others.ts';
import { type Results, saveResults, writeDocs } from './report/results.ts';
import { toText } from './report/table.ts';
import { type BenchRedis, removeLeftRuns, startBenchRedis } from './servers.ts';

/** The run is given up then; it should take half of it. */
const DEADLINE_MS = 15 * 60_000;

function report(step: string): void {
  process.stderr.write(`${step}\n`);
}

function readOptions(): BenchOptions {
  try {
    return readBenchOptions(process.argv.slice(2));
  } catch (error) {
    report(`${(error as Error).message}\nUsage: ${USAGE}`);
    process.exit(2);
  }
}

async function runCases(options: BenchOptions, redis: BenchRedis): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  const cases = casesOf(options);
  for (const [index, each] of cases.entries()) {
    report(`${index + 1} of ${cases.length}: ${each.group} …`);
    const context = { redis, rounds: options.rounds, report };
    const result = await besideOthers(() => each.run(context)).catch((error) => {
      throw new Error(`The case ${each.group} (${index + 1} of ${cases.length}) failed.`, { cause: error });
    });
    process.stdout.write(toText(result));
    results.push(result);
  }
  return results;
}

async function runBench(options: BenchOptions): Promise<Results> {
  const startedAt = new Date();
  const redis = await startBenchRedis(report);
  try {
    const machine = await describeMachine(redis.admin);
    report(showMachine(machine));
    const cases = await runCases(options, redis);
    const tookSeconds = Math.round((Date.now() - startedAt.getTime()) / 1_000);
    return { startedAt: startedAt.toISOString(), tookSeconds, rounds: options.rounds, machine, cases };
  } finally {
    await redis.stop();
  }
}

const options = readOptions();
// Contestants end with this process, and the servers' reaper sees to the servers.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
setTimeout(() => {
  report(`Given up after ${DEADLINE_MS / 60_000} minutes.`);
  process.exit(1);
}, DEADLINE_MS).unref();
await removeLeftRuns();
await installPeers(report);
const results = await runBench(options);
if (options.writesDocs) writeDocs(results);
report(`\n${results.tookSeconds} s; all figures: ${saveResults(results)}`);
