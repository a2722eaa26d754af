/** Warms one dataset: chooses what people read, and loads and stores it batch by batch, no faster than the database likes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pace } from './pace.ts';
import type { StepReport } from './report.ts';
import { Step } from './step.ts';
import type { WarmBatch, WarmPlan, WarmTarget } from './target.ts';

export type WarmedTarget = {
  readonly report: StepReport;
  readonly dataset: string;
  /** Undefined when nothing could be chosen. */
  readonly plan: WarmPlan | undefined;
  /** Chosen, and not begun or not ended when the run had to end. */
  readonly unfinishedKeys: readonly string[];
};

/** Somebody who clears in the middle of warm-ups again and again is left to the next one. */
const REPEATS_MAX = 2;

/** A batch that fails leaves the others alone. */
export async function warmTarget(target: WarmTarget, signal: AbortSignal): Promise<WarmedTarget> {
  const step = new Step(target.step, signal);
  const plan = await step.attempt(0, () => target.plan());
  const { batches, keysFromReads } = plan ?? { batches: [], keysFromReads: 0 };
  step.plan({ batches, keysFromReads });
  const pace = new Pace();
  await warmBatches(batches, step, pace, signal);
  await repeatCleared(target, step, pace, signal);
  return { report: step.report(), dataset: target.dataset, plan, unfinishedKeys: step.unfinishedKeys };
}

/** What was warmed before a clear that came meanwhile is cold again, and is warmed again. */
async function repeatCleared(target: WarmTarget, step: Step, pace: Pace, signal: AbortSignal): Promise<void> {
  for (let repeats = 0; !step.isHopeless; repeats++) {
    const generation = await step.attempt(0, () => target.generation());
    const cleared = generation === undefined ? [] : step.takeCleared(generation);
    if (cleared.length === 0) return;
    if (repeats === REPEATS_MAX) return step.giveUp(cleared, 'cleared while they were warmed');
    await warmBatches(cleared, step, pace, signal);
  }
}

/** Some side by side, until none is left, or until the database or Redis is away: then the next ones would fail as well. */
async function warmBatches(
  batches: readonly WarmBatch[],
  step: Step,
  pace: Pace,
  signal: AbortSignal,
): Promise<void> {
  const waiting = [...batches];
  const underWay = new Set<Promise<void>>();
  while (waiting.length > 0 && !step.isHopeless) {
    if (underWay.size >= pace.lanes) {
      await Promise.race(underWay);
      continue;
    }
    const warming = warmBatch(waiting.shift() as WarmBatch, step, pace, signal);
    underWay.add(warming);
    void warming.finally(() => underWay.delete(warming));
  }
  step.leave(waiting);
  await Promise.all(underWay);
}

async function warmBatch(batch: WarmBatch, step: Step, pace: Pace, signal: AbortSignal): Promise<void> {
  const warmed = await step.warm(batch);
  if (warmed === undefined) return pace.observeFailure();
  const restMs = pace.observe(warmed.loadMs);
  if (restMs > 0) await sleep(restMs, undefined, { signal }).catch(() => undefined); // aborted: nothing to rest for
}
