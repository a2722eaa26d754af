/** What readers feel of warm-ups that run beside them, one after the other without a pause. */

import { readTogether, type WarmingBench, withWarmingBench } from '../processes/warming-bench.ts';
import { USERS_WARMED } from '../processes/warming-sizes.ts';
import { type CaseResult, milliseconds } from '../report/table.ts';
import { median, pairedRatio, quantile } from '../statistics.ts';

const READERS = 2;
const READS = 1_000;
/** Each reader 250 a second. */
const APART_MS = 4;
const ROUNDS = 7;
/** Nobody waits for the schedule's; a deployment's is in a hurry, and may be felt a little. */
const P99_RATIO_MAX = { schedule: 1.2, deploy: 1.5 } as const;

const NAMES = {
  alone: 'alone',
  schedule: 'beside warm-ups of the schedule',
  deploy: 'beside warm-ups of deployments',
} as const;
type Part = keyof typeof NAMES;
const PARTS: readonly Part[] = ['alone', 'schedule', 'deploy'];
/** The latencies of each part, and how many keys were warmed beside it. */
type Round = Readonly<Record<Part, { readonly latenciesMs: readonly number[]; readonly warmed: number }>>;

export async function runForeground(): Promise<CaseResult> {
  return describe(await withWarmingBench(READERS, measure));
}

async function measure(bench: WarmingBench): Promise<Round[]> {
  await bench.warmer.call('warm', USERS_WARMED);
  await readTogether(bench, { count: READS, apartMs: APART_MS, round: 0 }); // compiles
  const rounds: Round[] = [];
  for (let round = 1; round <= ROUNDS; round++) rounds.push(await measureRound(bench, round));
  return rounds;
}

/** The same reads alone and beside warm-ups; what comes first turns from round to round. */
async function measureRound(bench: WarmingBench, round: number): Promise<Round> {
  const parts: Partial<Record<Part, Round[Part]>> = {};
  for (const offset of PARTS.keys()) {
    const part = PARTS[(round + offset) % PARTS.length] as Part;
    parts[part] = await measurePart(bench, round, part);
  }
  return parts as Round;
}

async function measurePart(bench: WarmingBench, round: number, part: Part): Promise<Round[Part]> {
  if (part === 'alone')
    return { latenciesMs: await readTogether(bench, { count: READS, apartMs: APART_MS, round }), warmed: 0 };
  const warming = bench.warmer.call('keepWarming', { users: USERS_WARMED, trigger: part });
  const latenciesMs = await readTogether(bench, { count: READS, apartMs: APART_MS, round });
  await bench.warmer.call('stop');
  return { latenciesMs, warmed: await warming };
}

function describe(rounds: readonly Round[]): CaseResult {
  const quantiles = (part: Part, share: number) =>
    rounds.map((round) => quantile(round[part].latenciesMs, share));
  const cells = (part: Part) => [0.5, 0.9, 0.99].map((share) => milliseconds(median(quantiles(part, share))));
  const keys = (part: Part) => median(rounds.map((round) => round[part].warmed)).toLocaleString('en');
  return {
    title: 'Reads during a warm-up',
    how: `${READERS} readers, each ${1_000 / APART_MS} reads a second of ${USERS_WARMED.toLocaleString('en')} users, most from Redis, 3 % from Postgres; ${ROUNDS} rounds of ${(READERS * READS).toLocaleString('en')} reads alone, and as many beside a process that warms all of them again and again without a pause. That process has the lowest priority of the system, for on Lambda the warmer has processors of its own; Redis and Postgres share theirs with the readers. A deployment's warm-up is in a hurry, because everything may be cold; the schedule's is not.`,
    columns: ['p50 ms', 'p90 ms', 'p99 ms', 'keys warmed'],
    rows: PARTS.map((part) => [
      NAMES[part],
      ...cells(part),
      part === 'alone' ? '' : `${keys(part)} in each round`,
    ]),
    verdicts: (['schedule', 'deploy'] as const).map((part) => ({
      what: `p99 ${NAMES[part]} / alone`,
      value: pairedRatio(quantiles(part, 0.99), quantiles('alone', 0.99)),
      unit: '×',
      atMost: P99_RATIO_MAX[part],
    })),
    raw: { p99Ms: Object.fromEntries(PARTS.map((part) => [part, quantiles(part, 0.99)])) },
  };
}
