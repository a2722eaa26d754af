/** What readers feel of warm-ups that run beside them, one after the other without a pause. */
import { milliseconds } from '../report/format.ts';
import { median, pairedRatio, quantile } from '../statistics.ts';
import { USERS_WARMED } from '../warming/load.ts';
import { type WarmingBench, withWarmingBench } from '../warming/open.ts';
import type { CaseResult } from './case-result.ts';

const READERS = 2;
const READS = 1_000;
/** Each reader 250 a second. */
const APART_MS = 4;
const ROUNDS = 7;
const P99_RATIO_MAX = 1.2;

type Round = { readonly alone: number[]; readonly beside: number[]; readonly warmUps: number };

export async function runForeground(report: (step: string) => void): Promise<CaseResult> {
  return describe(await withWarmingBench(READERS, report, (bench) => measure(bench)));
}

async function measure(bench: WarmingBench): Promise<Round[]> {
  await bench.warmer.order('warm', USERS_WARMED);
  await readAll(bench, 0); // compiles
  const rounds: Round[] = [];
  for (let round = 1; round <= ROUNDS; round++) rounds.push(await measureRound(bench, round));
  return rounds;
}

/** The same reads alone and beside warm-ups; which comes first turns from round to round. */
async function measureRound(bench: WarmingBench, round: number): Promise<Round> {
  const isAloneFirst = round % 2 === 0;
  const before = isAloneFirst ? await readAll(bench, round) : [];
  const warming = bench.warmer.order('keepWarming', USERS_WARMED);
  const beside = await readAll(bench, round);
  await bench.warmer.order('stop');
  const warmUps = await warming;
  return { alone: isAloneFirst ? before : await readAll(bench, round), beside, warmUps };
}

async function readAll({ readers }: WarmingBench, round: number): Promise<number[]> {
  const reads = readers.map((reader, index) =>
    reader.order('read', { count: READS, apartMs: APART_MS, seed: round * READERS + index }),
  );
  return (await Promise.all(reads)).flat();
}

function describe(rounds: readonly Round[]): CaseResult {
  const row = (kind: 'alone' | 'beside', share: number) =>
    median(rounds.map((round) => quantile(round[kind], share)));
  const p99 = (kind: 'alone' | 'beside') => rounds.map((round) => quantile(round[kind], 0.99));
  const ratio = pairedRatio(p99('beside'), p99('alone'));
  const cells = (kind: 'alone' | 'beside') => [0.5, 0.9, 0.99].map((share) => milliseconds(row(kind, share)));
  return {
    title: 'Reads during a warm-up',
    how: `${READERS} readers, each ${1_000 / APART_MS} reads a second of ${USERS_WARMED.toLocaleString('en')} users, most from Redis, 3 % from Postgres; ${ROUNDS} times ${(READERS * READS).toLocaleString('en')} reads alone and as many beside a process that warms all of them again and again without a pause. That process has the lowest priority of the system, for on Lambda the warmer has processors of its own; Redis and Postgres have none.`,
    columns: ['p50 ms', 'p90 ms', 'p99 ms', 'warm-ups'],
    rows: [
      ['alone', ...cells('alone'), ''],
      ['beside warm-ups', ...cells('beside'), rounds.map(({ warmUps }) => warmUps).join(', ')],
    ],
    verdicts: [{ what: 'p99 beside / alone', value: ratio, unit: '×', atMost: P99_RATIO_MAX }],
    raw: rounds.map(({ warmUps, ...round }) => ({
      warmUps,
      aloneP99Ms: quantile(round.alone, 0.99),
      besideP99Ms: quantile(round.beside, 0.99),
    })),
  };
}
