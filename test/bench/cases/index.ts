/** All cases, in the order in which they run, each under the name that `--only` takes. */
import type { BenchOptions, CaseGroup } from '../options.ts';
import type { BenchRedis } from '../servers.ts';
import type { CaseResult } from './case-result.ts';
import { runFailingLoad } from './failing-load.ts';
import { runForeground } from './foreground.ts';
import { runFrozenRedis } from './frozen-redis.ts';
import { runLargeTable } from './large-table.ts';
import { runMemory } from './memory.ts';
import { runMiss } from './miss.ts';
import { runPromises } from './promises.ts';
import { runScan } from './scan.ts';
import { runSearches } from './searches.ts';
import { runStampede } from './stampede.ts';
import { runTimedCase, TIMED_CASES } from './timed.ts';
import { runWarmUp } from './warm-up.ts';

type CaseContext = {
  /** For the cases that need not harm their Redis. */
  readonly redis: BenchRedis;
  readonly rounds: number;
  report(step: string): void;
};
type Case = { readonly group: CaseGroup; run(context: CaseContext): Promise<CaseResult> };

const CASES: readonly Case[] = [
  ...TIMED_CASES.map((spec) => ({
    group: spec.group,
    run: ({ rounds, redis }: CaseContext) => runTimedCase(spec, rounds, redis),
  })),
  { group: 'miss', run: (context) => runMiss(context) },
  { group: 'stampede', run: ({ redis }) => runStampede(redis) },
  { group: 'failing', run: ({ redis }) => runFailingLoad(redis) },
  { group: 'frozen', run: ({ report }) => runFrozenRedis(report) },
  {
    group: 'import',
    // CDK, which builds the bundles, takes a second to load.
    run: async ({ report }) => (await import('./cold-import.ts')).runColdImport(report),
  },
  { group: 'memory', run: ({ report }) => runMemory(report) },
  { group: 'scan', run: ({ redis }) => runScan(redis) },
  { group: 'warm-up', run: ({ report }) => runWarmUp(report) },
  { group: 'large-table', run: ({ report }) => runLargeTable(report) },
  { group: 'foreground', run: ({ report }) => runForeground(report) },
  { group: 'searches', run: ({ report }) => runSearches(report) },
  { group: 'promises', run: ({ redis, report }) => runPromises(redis, report) },
];

export function casesOf(options: BenchOptions): readonly Case[] {
  return CASES.filter(({ group }) => options.groups.includes(group));
}
