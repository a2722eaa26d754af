/** Promises with a figure: what tests cannot hold Prewarm to, because a busy machine makes everybody late. */

import { type WarmingBench, withWarmingBench } from '../processes/warming-bench.ts';
import { type CaseResult, milliseconds, type Promised, times, type Verdict } from '../report/table.ts';
import type { CaseContext } from '../rounds.ts';
import type { BenchRedis } from '../servers.ts';
import { median, quantile } from '../statistics.ts';
import { measureFrozen } from './frozen-redis.ts';
import { measureKilledLoader, measureStaleValue } from './promises/loads.ts';
import { measureForgetting, measureHydration, measureThaw, READERS } from './promises/readers.ts';
import { measureLostLock, measureSkippedRuns, WARMERS } from './promises/warmers.ts';

export async function runPromises({ redis }: CaseContext): Promise<CaseResult> {
  const frozen = await measureFrozen();
  const others = await withWarmingBench(READERS, (bench) => measure(bench, redis), WARMERS);
  return describe([...frozen, ...others]);
}

async function measure(bench: WarmingBench, redis: BenchRedis): Promise<Promised[]> {
  const skipped = await measureSkippedRuns(bench);
  // It needs what the warm-ups before it left, and processes that have done nothing else.
  const hydration = await measureHydration(bench);
  const forgetting = [await measureForgetting(bench, 'invalidate'), await measureForgetting(bench, 'clear')];
  const thaw = await measureThaw(bench);
  // Little but waiting, on another Redis than what runs beside it.
  const [lostLock, loads] = await Promise.all([measureLostLock(bench), measureLoads(redis)]);
  return [thaw, skipped, lostLock, ...forgetting, ...loads, hydration];
}

async function measureLoads(redis: BenchRedis): Promise<Promised[]> {
  return [await measureKilledLoader(redis), ...(await measureStaleValue(redis))];
}

function describe(promises: readonly Promised[]): CaseResult {
  return {
    title: 'Promises with a figure',
    how: `Absolute times, on this machine. Redis and Postgres are real; containers are processes. The warm-ups that are skipped: ${WARMERS} processes that are connected start ten each in the same moment, beside the one that runs, all at the lowest priority; the floor is the same SET NX by bare ioredis, of as many callers in the same processes, and a skipped run asks for the holder too. Hydration: the first work of ${READERS} new processes, connected before. Redis frozen: as in the case of this name.`,
    columns: ['median ms', 'worst ms', 'limit ms', 'times', 'to the floor', 'kept'],
    rows: promises.map((promised) => [promised.what, ...cellsOf(promised)]),
    verdicts: promises.map(judge),
    raw: promises,
  };
}

const JUDGED = { 0.5: ' (median)', 0.9: ' (p90)' } as const;

function cellsOf(promised: Promised): string[] {
  const { tookMs, limitMs, floorMs, judged } = promised;
  return [
    milliseconds(median(tookMs)),
    milliseconds(Math.max(...tookMs)),
    `${limitMs.toLocaleString('en')}${judged === undefined ? '' : JUDGED[judged]}`,
    String(tookMs.length),
    floorMs === undefined ? '' : times(median(tookMs) / median(floorMs)),
    judgedMs(promised) <= limitMs ? 'yes' : 'NO',
  ];
}

function judge(promised: Promised): Verdict {
  return { what: promised.what, value: judgedMs(promised), unit: 'ms', atMost: promised.limitMs };
}

function judgedMs({ tookMs, judged = 1 }: { tookMs: readonly number[]; judged?: number }): number {
  return quantile(tookMs, judged);
}
