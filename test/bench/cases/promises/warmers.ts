/** What is promised of warm-ups: many that are started at once, and one whose lock is taken away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '../../../support/keys.ts';
import type { WarmingBench } from '../../processes/warming-bench.ts';
import type { Promised } from '../../report/table.ts';

const PROCESSES = 10;
const RUNS_EACH = 10;
const ROUNDS = 4;
const START_IN_MS = 150;
/** After the lock was taken: soon after it, and shortly before it is renewed. */
const TAKEN_AWAY_AFTER_MS = [100, 1_500, 3_500];
const THIEF = 'somebody else';
const THIEF_SECONDS = 30;
const LOOK_AGAIN_MS = 5;

export const WARMERS = PROCESSES;

export async function measureSkippedRuns({ warmers }: WarmingBench): Promise<Promised> {
  const tookMs: number[] = [];
  const floorMs: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const [skipped, sets] = [await startTogether(warmers, round), await setTogether(warmers, round)];
    if (round === 0) continue; // ran code that was not compiled yet
    tookMs.push(...skipped);
    floorMs.push(...sets);
  }
  const what = `A skipped one of ${PROCESSES * RUNS_EACH} warm-ups at once`;
  return { what, tookMs, limitMs: 100, floorMs };
}

/** Throws unless one has warmed and all others were skipped. */
async function startTogether(warmers: WarmingBench['warmers'], round: number): Promise<number[]> {
  const start = { count: RUNS_EACH, startAtMs: Date.now() + START_IN_MS };
  const runs = (await Promise.all(warmers.map((warmer) => warmer.call('warmAtOnce', start)))).flat();
  const skipped = runs.filter(({ status }) => status === 'skipped');
  if (skipped.length === runs.length - 1) return skipped.map(({ tookMs }) => tookMs);
  throw new Error(`Round ${round}: ${skipped.length} of ${runs.length} warm-ups were skipped.`);
}

async function setTogether(warmers: WarmingBench['warmers'], round: number): Promise<number[]> {
  const start = { count: RUNS_EACH, startAtMs: Date.now() + START_IN_MS, key: `bare:lock:${round}` };
  return (await Promise.all(warmers.map((warmer) => warmer.call('setAtOnce', start)))).flat();
}

export async function measureLostLock(bench: WarmingBench): Promise<Promised> {
  const tookMs: number[] = [];
  for (const afterMs of TAKEN_AWAY_AFTER_MS) tookMs.push(await takeLockAway(bench, afterMs));
  return { what: 'A warm-up stops whose lock is taken away', tookMs, limitMs: 10_000 };
}

async function takeLockAway(
  { servers: { admin: redis }, warmer }: WarmingBench,
  afterMs: number,
): Promise<number> {
  const running = warmer.call('warmSlowly');
  while ((await redis.get(keys.warmupLock)) === null) await sleep(LOOK_AGAIN_MS);
  await sleep(afterMs);
  await redis.set(keys.warmupLock, THIEF, 'EX', THIEF_SECONDS);
  const takenAtMs = Date.now();
  if (!(await running)) throw new Error('The warm-up came to its end before its lock was missed.');
  const tookMs = Date.now() - takenAtMs;
  await redis.del(keys.warmupLock);
  return tookMs;
}
