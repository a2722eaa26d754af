/** A warm-up of a million keys that people read, of a table of 1.1 million rows: how long, how large, and what readers feel of it. */

import { users } from '../../../shared/datasets/users.ts';
import { Pace } from '../../../shared/warming/pace.ts';
import type { BatchTimes, LargeWarming } from '../processes/warmer-process.ts';
import { readTogether, type WarmingBench, withWarmingBench } from '../processes/warming-bench.ts';
import { HOT_KEYS } from '../processes/warming-sizes.ts';
import { type CaseResult, milliseconds, report } from '../report/table.ts';
import { quantile } from '../statistics.ts';

const READERS = 2;
const APART_MS = 4;
const READS_ALONE = 2_500;
/** Somewhat less than the run takes. */
const READS_BESIDE = 7_500;
const TABLE_ROWS = 1_100_000;
const CUT_AFTER_MS = 20_000;
/** From which the time of all is simulated. */
const BATCHES_TIMED = 200;
const SIMULATED_KEYS = [1e6, 1e7, 1e8];
const SIMULATED_RATIO_MAX = 1.25;
const TOOK_MAX_MS = 60_000;
const MEMORY_MAX_MIB = 512;
const P99_RATIO_MAX = 1.5;

type Measured = Awaited<ReturnType<typeof measure>>;

export async function runLargeTable(): Promise<CaseResult> {
  return describe(await withWarmingBench(READERS, measure));
}

async function measure(bench: WarmingBench) {
  const { warmer, servers } = bench;
  const read = (count: number, round: number) =>
    readTogether(bench, { count, apartMs: APART_MS, round, loadedShare: 0 });
  report(`Adding rows, up to ${TABLE_ROWS.toLocaleString('en')}`);
  await warmer.call('addRows', TABLE_ROWS);
  report(`Telling of reads of ${HOT_KEYS.toLocaleString('en')} keys`);
  const told = await warmer.call('tellReads', HOT_KEYS);
  const batches = await warmer.call('timeBatches', BATCHES_TIMED);
  await warmer.call('clear');
  report('A whole warm-up, into an empty cache');
  const whole = await warmer.call('warmLarge', {});
  report('Readers alone');
  await read(READS_ALONE, 0); // compiles
  const aloneMs = await read(READS_ALONE, 1);
  report('Readers beside a warm-up');
  const warming = warmer.call('warmLarge', {});
  const besideMs = await read(READS_BESIDE, 2);
  await warming;
  report('One that is cut short, and the next one');
  await warmer.call('clear');
  const cut = await warmer.call('warmLarge', { cutAfterMs: CUT_AFTER_MS });
  const carriedOn = await warmer.call('warmLarge', {});
  await servers.admin.flushall('ASYNC');
  return { told, batches, whole, cut, carriedOn, aloneMs, besideMs };
}

function describe(measured: Measured): CaseResult {
  const { told, batches, whole, cut, carriedOn, aloneMs, besideMs } = measured;
  const simulated = SIMULATED_KEYS.map((keys) => simulateWarmUp(keys, batches));
  const offBy = (simulated[0] as number) / (whole.tookMs / 1_000);
  const loadedTwice = cut.loaded + carriedOn.loaded - HOT_KEYS;
  const row = (name: string, { tookMs, loaded, found, commands, memoryMiB }: LargeWarming) => [
    name,
    (tookMs / 1_000).toFixed(1),
    loaded.toLocaleString('en'),
    found.toLocaleString('en'),
    commands.toLocaleString('en'),
    memoryMiB.toFixed(0),
  ];
  return {
    title: `A warm-up of ${HOT_KEYS.toLocaleString('en')} keys`,
    how: `A table of ${TABLE_ROWS.toLocaleString('en')} small rows, of which so many were read, half as often with every fourfold rank. An urgent run into an empty cache; one that is told to end after ${CUT_AFTER_MS / 1_000} s, and the one after it. Telling of the reads took Redis ${told.usPerFlush.toFixed(0)} µs for each 200 keys, and ${told.bytesPerKey.toFixed(0)} bytes a key; an entry takes ${whole.bytesPerKey.toFixed(0)}. Readers, whose reads all end in memory or Redis: ${READERS}, each ${1_000 / APART_MS} a second; their p99 was ${milliseconds(quantile(aloneMs, 0.99))} ms alone and ${milliseconds(quantile(besideMs, 0.99))} ms beside a run. By simulation from ${BATCHES_TIMED} batches, ${SIMULATED_KEYS.map((keys, place) => `${keys.toLocaleString('en')} keys take ${(simulated[place] as number).toFixed(0)} s`).join(', ')}.`,
    columns: ['s', 'keys loaded', 'found warm', 'commands to Redis', 'MiB of the warmer'],
    rows: [row('into an empty cache', whole), row('cut short', cut), row('the next one', carriedOn)],
    verdicts: [
      { what: 'A million keys', value: whole.tookMs, unit: 'ms', atMost: TOOK_MAX_MS },
      { what: 'Memory of the warmer', value: whole.memoryMiB, unit: 'MiB', atMost: MEMORY_MAX_MIB },
      { what: 'Keys loaded twice by both', value: loadedTwice, unit: 'keys', atMost: 1_000 },
      {
        what: 'The simulated time of a million is off by',
        value: Math.max(offBy, 1 / offBy),
        unit: '×',
        atMost: SIMULATED_RATIO_MAX,
      },
      {
        what: 'p99 beside a run / alone',
        value: quantile(besideMs, 0.99) / quantile(aloneMs, 0.99),
        unit: '×',
        atMost: P99_RATIO_MAX,
      },
    ],
    raw: { told, batches, simulated, whole, cut, carriedOn },
  };
}

/**
 * Seconds of a run in a hurry, whose batches take what `measured` ones took, in turns. A batch begins when the one before it
 * was loaded and the rest is over, and is stored beside the next one's load. What comes before and after the batches is
 * left out.
 */
function simulateWarmUp(keys: number, measured: readonly BatchTimes[]): number {
  const pace = new Pace(true);
  const batches = Math.ceil(keys / users.warmBatchSize);
  let nowMs = 0;
  let storedAtMs = 0;
  for (let batch = 0; batch < batches; batch++) {
    const { loadMs, storeMs } = measured[batch % measured.length] as BatchTimes;
    nowMs += loadMs;
    const restMs = pace.observeLoad(loadMs);
    storedAtMs = nowMs + storeMs;
    pace.observeStore(storeMs);
    nowMs += restMs;
  }
  return Math.max(nowMs, storedAtMs) / 1_000;
}
