/** How long a warm-up of many keys will take: its batches, at the warmer's own pace, on a clock that is reckoned. */
import { users } from '../../../shared/datasets/users.ts';
import { Pace } from '../../../shared/warming/pace.ts';
import type { BatchTimes } from './orders.ts';

/**
 * Seconds of a run in a hurry, whose batches take what `measured` ones took, in turns. A batch begins when the one before it
 * was loaded and the rest is over, and is stored beside the next one's load. What comes before and after the batches is
 * left out.
 */
export function simulateWarmUp(keys: number, measured: readonly BatchTimes[]): number {
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
