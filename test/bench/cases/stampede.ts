/** A cold key that everybody wants at once: how often it is loaded, by processes that do not know of each other. */
import { LIMITED_CONNECTION } from '../contestants/contestant.ts';
import { type EntrantName, isPeer, PEERS, PREWARM } from '../contestants/index.ts';
import { Failures } from '../failures.ts';
import { ContestantClient } from '../processes/contestant-client.ts';
import type { BurstResult } from '../processes/contestant-process.ts';
import { type CaseResult, milliseconds } from '../report/table.ts';
import { type CaseContext, openingOf } from '../rounds.ts';
import type { BenchRedis } from '../servers.ts';
import { median } from '../statistics.ts';

const PROCESSES = 10;
const WAITERS_EACH = 100;
const LOAD_MS = 20;
const ROUNDS = 5;
/** For the orders to arrive in all processes before the moment at which they begin. */
const START_IN_MS = 150;

type Round = { readonly loads: number; readonly rejected: number; readonly lastMs: number };

export async function runStampede({ redis }: CaseContext): Promise<CaseResult> {
  const rounds = new Map<EntrantName, Round[]>();
  const failures = new Failures(isPeer);
  for (const entrant of [PREWARM, ...PEERS])
    rounds.set(entrant, (await failures.spare(entrant, () => stampede(entrant, redis))) ?? []);
  return {
    title: '1,000 misses of one key in 10 processes',
    how: `${PROCESSES} processes, ${WAITERS_EACH} reads each of a key that nobody has, all at the same moment; the source takes ${LOAD_MS} ms and counts. ${ROUNDS} rounds, a new key each.`,
    columns: ['loads in each round', 'failed reads', 'last answer ms'],
    rows: [...rounds].map(([entrant, each]) => failures.row(entrant, () => cellsOf(each))),
    verdicts: [
      { what: 'Most loads with Prewarm', value: loadsMax(rounds.get(PREWARM)), unit: 'loads', atMost: 1 },
    ],
    raw: Object.fromEntries(rounds),
  };
}

function cellsOf(rounds: readonly Round[]): string[] {
  return [
    rounds.map(({ loads }) => loads).join(', '),
    String(rounds.reduce((sum, { rejected }) => sum + rejected, 0)),
    milliseconds(median(rounds.map(({ lastMs }) => lastMs))),
  ];
}

function loadsMax(rounds: readonly Round[] = []): number {
  return Math.max(...rounds.map(({ loads }) => loads));
}

async function stampede(entrant: EntrantName, redis: BenchRedis): Promise<Round[]> {
  // One database for all of them, and the memory of each its own.
  const opening = openingOf(redis, 'l2', entrant, LIMITED_CONNECTION);
  const clients = await ContestantClient.startAll(Array.from({ length: PROCESSES }, () => opening));
  try {
    const results: Round[] = [];
    await Promise.all(clients.map((client) => client.order('source', { delayMs: LOAD_MS, fails: false })));
    for (let round = 0; round <= ROUNDS; round++)
      results.push(await releaseAll(clients, `${entrant}-${round}`));
    return results.slice(1); // the first one ran code that was not compiled yet
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

async function releaseAll(clients: readonly ContestantClient[], id: string): Promise<Round> {
  const startAtMs = Date.now() + START_IN_MS;
  const bursts: BurstResult[] = await Promise.all(
    clients.map((client) => client.order('burst', { id, waiters: WAITERS_EACH, startAtMs })),
  );
  return {
    loads: bursts.reduce((sum, { loads }) => sum + loads, 0),
    rejected: bursts.reduce((sum, { rejected }) => sum + rejected, 0),
    lastMs: Math.max(...bursts.map(({ lastMs }) => lastMs)),
  };
}
