/** What becomes of a batch, by what its tries say. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { setLogLevel } from '../../../../shared/logger.ts';
import type { WarmBatch } from '../../../../shared/warming/plan.ts';
import { Step } from '../../../../shared/warming/step.ts';

beforeEach(() => {
  vi.useFakeTimers();
  setLogLevel('silent');
});
afterEach(() => {
  vi.useRealTimers();
});

/** Of two keys; none of its tries ends. Answers the outcome, and how many tries there were. */
async function warmWhatHangs(loadedFirst: boolean) {
  let tries = 0;
  const batch: WarmBatch = {
    keys: ['1', '2'],
    warm(_, onLoaded) {
      tries++;
      if (loadedFirst) onLoaded(1);
      return new Promise(() => {});
    },
  };
  const step = new Step('top-users', new AbortController().signal, async () => true);
  const warming = step.warm(
    batch,
    () => {},
    () => {},
  );
  await vi.advanceTimersByTimeAsync(20_000);
  return { outcome: await warming, tries, report: step.report() };
}

it('that the database has no time for, which is well, is to be parted', async () => {
  expect(await warmWhatHangs(false)).toMatchObject({ outcome: 'slow', tries: 1 });
});

it('that was loaded in time, and that Redis has no time for, is tried again as it is', async () => {
  expect(await warmWhatHangs(true)).toMatchObject({ outcome: 'failed', tries: 4 });
});
