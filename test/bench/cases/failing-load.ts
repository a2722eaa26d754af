/** A load that fails while many wait for it: one call, and all hear of it at the same time. */
import { type EntrantName, isPeer, PEERS, PREWARM } from '../contestants/index.ts';
import { Failures } from '../failures.ts';
import { ContestantClient } from '../processes/contestant-client.ts';
import type { BurstResult } from '../processes/contestant-process.ts';
import { type CaseResult, milliseconds } from '../report/table.ts';
import { type CaseContext, openingOf } from '../rounds.ts';
import type { BenchRedis } from '../servers.ts';
import { median } from '../statistics.ts';

const WAITERS = 100;
const LOAD_MS = 20;
const ROUNDS = 5;
/** From the first rejection to the last: the time of a few callbacks. */
const TOGETHER_MS = 5;

export async function runFailingLoad({ redis }: CaseContext): Promise<CaseResult> {
  const bursts = new Map<EntrantName, BurstResult[]>();
  const failures = new Failures(isPeer);
  for (const entrant of [PREWARM, ...PEERS])
    bursts.set(entrant, (await failures.spare(entrant, () => failRepeatedly(entrant, redis))) ?? []);
  const prewarm = bursts.get(PREWARM) ?? [];
  return {
    title: 'A failing load with 100 waiters',
    how: `One process, ${WAITERS} reads of a key that nobody has; the source rejects after ${LOAD_MS} ms. ${ROUNDS} rounds, a new key each.`,
    columns: ['calls of the source', 'rejected reads', 'first rejection ms', 'from first to last ms'],
    rows: [...bursts].map(([entrant, each]) => failures.row(entrant, () => cellsOf(each))),
    verdicts: [
      {
        what: 'Most calls with Prewarm',
        value: most(prewarm, ({ loads }) => loads),
        unit: 'calls',
        atMost: 1,
      },
      {
        what: 'Reads with Prewarm that were not rejected',
        value: most(prewarm, ({ rejected }) => WAITERS - rejected),
        unit: 'reads',
        atMost: 0,
      },
      {
        what: 'Prewarm from first to last',
        value: median(prewarm.map(spreadMs)),
        unit: 'ms',
        atMost: TOGETHER_MS,
      },
    ],
    raw: Object.fromEntries(bursts),
  };
}

function cellsOf(bursts: readonly BurstResult[]): string[] {
  const rejected = new Set(bursts.map((burst) => burst.rejected));
  return [
    bursts.map(({ loads }) => loads).join(', '),
    [...rejected].map((count) => `${count} of ${WAITERS}`).join('; '),
    milliseconds(median(bursts.map(({ firstMs }) => firstMs))),
    milliseconds(median(bursts.map(spreadMs))),
  ];
}

function spreadMs({ firstMs, lastMs }: BurstResult): number {
  return lastMs - firstMs;
}

function most(bursts: readonly BurstResult[], figure: (burst: BurstResult) => number): number {
  return Math.max(...bursts.map(figure));
}

async function failRepeatedly(entrant: EntrantName, redis: BenchRedis): Promise<BurstResult[]> {
  const client = await ContestantClient.start(openingOf(redis, 'l2', entrant));
  try {
    const bursts: BurstResult[] = [];
    await client.order('source', { delayMs: LOAD_MS, fails: true });
    for (let round = 0; round <= ROUNDS; round++) {
      const startAtMs = Date.now();
      bursts.push(await client.order('burst', { id: `failing-${round}`, waiters: WAITERS, startAtMs }));
    }
    return bursts.slice(1); // the first one ran code that was not compiled yet
  } finally {
    await client.close();
  }
}
