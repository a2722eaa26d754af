/** A Redis that takes connections and answers nothing: how much later than the source's the answers come. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, LIMITED_CONNECTION } from '../contestants/contestant.ts';
import { type EntrantName, isPeer, PREWARM } from '../contestants/index.ts';
import { Failures } from '../failures.ts';
import { type ContestantClient, withEachContestant } from '../processes/contestant-client.ts';
import type { OneReadResult } from '../processes/contestant-process.ts';
import { type CaseResult, milliseconds, type Promised } from '../report/table.ts';
import { openingOf } from '../rounds.ts';
import { startBenchRedis } from '../servers.ts';
import { quantile } from '../statistics.ts';

const CAP_MS = 3_000;
const LOAD_MS = 5;
const ROUNDS = 5;
const WARM_UP_READS = 200;
/** Longer together than Prewarm waits before it tries Redis again. */
const LATER_READS = 30;
const APART_MS = 50;
/** Who is stopped by the cap is not asked so often again. */
const CAPPED_READS_MAX = 2;
const FIRST_MAX_MS = 150;
const LATER_MAX_MS = 10;

/** ioredis as it comes, which is what the documentation of the peers shows. */
const AS_IT_COMES: Connection = {};

type Frozen = { readonly label: string; readonly entrant: EntrantName; readonly connection: Connection };

const limited = (entrant: EntrantName): Frozen => ({
  label: `${entrant}; commands limited to ${LIMITED_CONNECTION.commandTimeout} ms`,
  entrant,
  connection: LIMITED_CONNECTION,
});
const asItComes = (entrant: EntrantName): Frozen => ({ label: entrant, entrant, connection: AS_IT_COMES });

const FROZEN_PREWARM: Frozen = { label: PREWARM, entrant: PREWARM, connection: LIMITED_CONNECTION };
const FROZEN: readonly Frozen[] = [
  FROZEN_PREWARM,
  asItComes('layered-loader'),
  limited('layered-loader'),
  asItComes('async-cache-dedupe'),
  limited('async-cache-dedupe'),
  asItComes('bentocache'),
  limited('bentocache, breaker'),
  asItComes('cache-manager'),
  asItComes('cacheable'),
  asItComes('cacheable, nonBlocking'),
];

type Reads = { readonly first: OneReadResult[]; readonly later: OneReadResult[] };
/** By label. */
type AllReads = Map<string, Reads>;

export async function runFrozenRedis(): Promise<CaseResult> {
  const failures = new Failures(isPeer);
  const all = await readWhileFrozen(FROZEN, failures);
  const { first, later } = all.get(PREWARM) as Reads;
  const [firstMs, laterMs] = [overMs(first, 1), overMs(later, 0.9)];
  return {
    title: 'Redis frozen',
    how: `A Redis process stopped by a signal. Misses of new keys, in turn, ${APART_MS} ms apart; the source takes ${LOAD_MS} ms, which is taken off. No read is awaited longer than ${CAP_MS} ms. ${ROUNDS} rounds with new processes; one only for whom the cap stopped.`,
    columns: ['first miss (worst), ms over the source', 'later misses (p90)'],
    rows: [...all].map(([label, reads]) =>
      failures.row(label, () => [showReads(reads.first, 1), showReads(reads.later, 0.9)]),
    ),
    verdicts: [
      { what: 'First miss with Prewarm (worst)', value: firstMs, unit: 'ms', atMost: FIRST_MAX_MS },
      { what: 'Later misses with Prewarm (p90)', value: laterMs, unit: 'ms', atMost: LATER_MAX_MS },
    ],
    raw: Object.fromEntries(all),
  };
}

/** What is promised of Prewarm, without the others. */
export async function measureFrozen(): Promise<Promised[]> {
  const all = await readWhileFrozen([FROZEN_PREWARM], new Failures(isPeer));
  const { first, later } = all.get(PREWARM) as Reads;
  return [
    {
      what: 'Redis frozen: the first read, beyond its load',
      tookMs: first.map(costMs),
      limitMs: FIRST_MAX_MS,
    },
    { what: 'Redis frozen: a later one', tookMs: later.map(costMs), limitMs: LATER_MAX_MS, judged: 0.9 },
  ];
}

async function readWhileFrozen(
  frozen: readonly Frozen[],
  failures: Failures<EntrantName>,
): Promise<AllReads> {
  const all: AllReads = new Map(frozen.map(({ label }) => [label, { first: [], later: [] }]));
  const isCapped = (label: string) => all.get(label)?.first.some(({ outcome }) => outcome === 'capped');
  for (let round = 0; round < ROUNDS; round++) {
    const playing = frozen.filter(({ label }) => !failures.has(label) && !isCapped(label));
    await freezeOnce(playing, all, failures);
  }
  return all;
}

/** All at the same time: they wait, and compute next to nothing. */
async function freezeOnce(
  playing: readonly Frozen[],
  all: AllReads,
  failures: Failures<EntrantName>,
): Promise<void> {
  const redis = await startBenchRedis();
  const openings = playing.map(
    ({ label, entrant, connection }) => [label, openingOf(redis, 'l2', entrant, { connection })] as const,
  );
  const reading = withEachContestant(new Map(openings), failures, async (clients) => {
    for (const client of clients) await client.spare(failures, () => warmUp(client));
    redis.freeze();
    await Promise.all(
      clients
        .filter(({ name }) => !failures.has(name))
        .map((client) => client.spare(failures, () => readFrozen(client, all.get(client.name) as Reads))),
    );
  });
  await reading.finally(() => redis.stop());
}

async function warmUp(client: ContestantClient): Promise<void> {
  await client.call(
    'fill',
    Array.from({ length: WARM_UP_READS }, (_, index) => String(index + 1)),
  );
  await client.call('source', { delayMs: LOAD_MS, fails: false });
  await client.call('readOnce', { id: 'before', capMs: CAP_MS });
}

async function readFrozen(client: ContestantClient, reads: Reads): Promise<void> {
  reads.first.push(await client.call('readOnce', { id: 'first', capMs: CAP_MS }));
  for (let later = 0, capped = 0; later < LATER_READS && capped < CAPPED_READS_MAX; later++) {
    await sleep(APART_MS);
    const read = await client.call('readOnce', { id: `later-${later}`, capMs: CAP_MS });
    reads.later.push(read);
    if (read.outcome === 'capped') capped++;
  }
}

function showReads(reads: readonly OneReadResult[], share: number): string {
  if (reads.some(({ outcome }) => outcome === 'capped')) return `more than ${CAP_MS}`;
  const failed = reads.filter(({ outcome }) => outcome === 'failed').length;
  const shown = milliseconds(overMs(reads, share));
  return failed === 0 ? shown : `${shown}, ${failed} of ${reads.length} failed`;
}

function overMs(reads: readonly OneReadResult[], share: number): number {
  return quantile(reads.map(costMs), share);
}

function costMs({ outcome, overMs }: OneReadResult): number {
  return outcome === 'answered' ? overMs : CAP_MS;
}
