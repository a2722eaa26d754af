/** A cold key that everybody wants at once: how often it is loaded, by processes that do not know of each other; and a load that fails. */
import { type EntrantName, isPeer, PEERS, PREWARM } from '../contestants/index.ts';
import { Failures } from '../failures.ts';
import { withContestants } from '../processes/contestant-client.ts';
import type { BurstResult } from '../processes/contestant-process.ts';
import { type CaseResult, milliseconds } from '../report/table.ts';
import { type CaseContext, openingOf } from '../rounds.ts';
import { median } from '../statistics.ts';

const WAITERS = 100;
const LOAD_MS = 20;
const ROUNDS = 5;
const STAMPEDE = { processes: 10, fails: false, startInMs: 150 };
const FAILING = { processes: 1, fails: true, startInMs: 0 };
/** From the first rejection to the last: the time of a few callbacks. */
const TOGETHER_MS = 5;

type Kind = {
  readonly processes: number;
  readonly fails: boolean;
  /** For the orders to arrive in all processes before the moment at which they begin. */
  readonly startInMs: number;
};
/** Of all processes together. */
type Rounds = readonly BurstResult[];

export async function runStampede(context: CaseContext): Promise<CaseResult> {
  const { failures, rounds, prewarm } = await burstAll(STAMPEDE, context);
  return {
    title: '1,000 misses of one key in 10 processes',
    how: `${STAMPEDE.processes} processes, ${WAITERS} reads each of a key that nobody has, all at the same moment; the source takes ${LOAD_MS} ms and counts. ${ROUNDS} rounds, a new key each.`,
    columns: ['loads in each round', 'failed reads', 'last answer ms'],
    rows: [...rounds].map(([entrant, each]) =>
      failures.row(entrant, () => [
        each.map(({ loads }) => loads).join(', '),
        String(each.reduce((sum, { rejected }) => sum + rejected, 0)),
        milliseconds(median(each.map(({ lastMs }) => lastMs))),
      ]),
    ),
    verdicts: [
      {
        what: 'Most loads with Prewarm',
        value: most(prewarm, ({ loads }) => loads),
        unit: 'loads',
        atMost: 1,
      },
    ],
    raw: Object.fromEntries(rounds),
  };
}

/** One call, and all hear of it at the same time. */
export async function runFailingLoad(context: CaseContext): Promise<CaseResult> {
  const { failures, rounds, prewarm } = await burstAll(FAILING, context);
  const unrejected = most(prewarm, ({ rejected }) => WAITERS - rejected);
  const spread = median(prewarm.map(spreadMs));
  return {
    title: 'A failing load with 100 waiters',
    how: `One process, ${WAITERS} reads of a key that nobody has; the source rejects after ${LOAD_MS} ms. ${ROUNDS} rounds, a new key each.`,
    columns: ['calls of the source', 'rejected reads', 'first rejection ms', 'from first to last ms'],
    rows: [...rounds].map(([entrant, each]) =>
      failures.row(entrant, () => [
        each.map(({ loads }) => loads).join(', '),
        [...new Set(each.map(({ rejected }) => `${rejected} of ${WAITERS}`))].join('; '),
        milliseconds(median(each.map(({ firstMs }) => firstMs))),
        milliseconds(median(each.map(spreadMs))),
      ]),
    ),
    verdicts: [
      {
        what: 'Most calls with Prewarm',
        value: most(prewarm, ({ loads }) => loads),
        unit: 'calls',
        atMost: 1,
      },
      { what: 'Reads with Prewarm that were not rejected', value: unrejected, unit: 'reads', atMost: 0 },
      { what: 'Prewarm from first to last', value: spread, unit: 'ms', atMost: TOGETHER_MS },
    ],
    raw: Object.fromEntries(rounds),
  };
}

function spreadMs({ firstMs, lastMs }: BurstResult): number {
  return lastMs - firstMs;
}

function most(rounds: Rounds, figure: (burst: BurstResult) => number): number {
  return Math.max(...rounds.map(figure));
}

async function burstAll(kind: Kind, context: CaseContext) {
  const rounds = new Map<EntrantName, Rounds>();
  const failures = new Failures(isPeer);
  for (const entrant of [PREWARM, ...PEERS])
    rounds.set(entrant, (await failures.spare(entrant, () => burst(kind, entrant, context))) ?? []);
  return { failures, rounds, prewarm: rounds.get(PREWARM) ?? [] };
}

function burst(kind: Kind, entrant: EntrantName, { redis }: CaseContext): Promise<Rounds> {
  const { processes, fails, startInMs } = kind;
  // One database for all of them, and the memory of each its own.
  const opening = openingOf(redis, 'l2', entrant);
  return withContestants(
    Array.from({ length: processes }, () => opening),
    async (clients) => {
      await Promise.all(clients.map((client) => client.call('source', { delayMs: LOAD_MS, fails })));
      const rounds: BurstResult[] = [];
      for (let round = 0; round <= ROUNDS; round++) {
        const order = { id: `${entrant}-${round}`, waiters: WAITERS, startAtMs: Date.now() + startInMs };
        rounds.push(sumOf(await Promise.all(clients.map((client) => client.call('burst', order)))));
      }
      return rounds.slice(1); // the first one ran code that was not compiled yet
    },
  );
}

function sumOf(bursts: readonly BurstResult[]): BurstResult {
  return {
    loads: bursts.reduce((sum, { loads }) => sum + loads, 0),
    rejected: bursts.reduce((sum, { rejected }) => sum + rejected, 0),
    firstMs: Math.min(...bursts.map(({ firstMs }) => firstMs)),
    lastMs: Math.max(...bursts.map(({ lastMs }) => lastMs)),
  };
}
