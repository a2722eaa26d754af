/** Waiting for the moment at which a request is due. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/** Node's timers are late by up to a millisecond and some: what is left is waited for exactly. */
const TIMER_ERROR_MS = 1.5;
const NEVER_CHANGED = new Int32Array(new SharedArrayBuffer(4));

/**
 * `dueMs` by `performance.now()`. Exact to some ten microseconds without using the processor. Nothing must be under way in
 * the last moment, which blocks.
 */
export async function waitUntil(dueMs: number): Promise<void> {
  const coarseMs = Math.floor(dueMs - performance.now() - TIMER_ERROR_MS);
  await (coarseMs > 0 ? sleep(coarseMs) : nextTurn());
  const restMs = dueMs - performance.now();
  if (restMs > 0) Atomics.wait(NEVER_CHANGED, 0, 0, restMs);
}
