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

/** Loads and stores under way at once: Redis stores what was loaded while Postgres loads what comes next. */
const UNDER_WAY_MAX = 4;

export type WarmTargetOptions = {
  readonly signal: AbortSignal;
  /** Somebody may wait for it: it does not rest while the database keeps its speed. */
  readonly isUrgent: boolean;
};

/** A batch that fails leaves the others alone. */
export async function warmTarget(
  target: WarmTarget,
  { signal, isUrgent }: WarmTargetOptions,
): Promise<WarmedTarget> {
  const step = new Step(target.step, signal);
  const plan = await step.attempt(0, () => target.plan());
  const { batches, keysFromReads } = plan ?? { batches: [], keysFromReads: 0 };
  step.plan({ batches, keysFromReads });
  const pace = new Pace(isUrgent);
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
  const loading = new Set<Promise<void>>();
  const underWay = new Set<Promise<void>>();
  while (waiting.length > 0 && !step.isHopeless) {
    if (loading.size >= pace.lanes) await Promise.race(loading);
    else if (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
    else {
      const { loaded, stored } = beginBatch(waiting.shift() as WarmBatch, step, pace, signal);
      keepUntilSettled(loading, loaded);
      keepUntilSettled(underWay, stored);
    }
  }
  step.leave(waiting);
  await Promise.all(underWay);
}

/**
 * `loaded` resolves when another load may begin, which is before this one is stored; neither rejects. A load that is
 * repeated, because it could not be stored, is not waited for: the two connections are the limit then.
 */
function beginBatch(
  batch: WarmBatch,
  step: Step,
  pace: Pace,
  signal: AbortSignal,
): { loaded: Promise<void>; stored: Promise<void> } {
  const { promise: loaded, resolve } = Promise.withResolvers<void>();
  const onLoaded = (loadMs: number) => resolve(rest(pace.observe(loadMs), signal));
  const stored = step.warm(batch, onLoaded).then((warmed) => {
    if (warmed === undefined) pace.observeFailure();
    resolve();
  });
  return { loaded, stored };
}

async function rest(restMs: number, signal: AbortSignal): Promise<void> {
  if (restMs > 0) await sleep(restMs, undefined, { signal }).catch(() => undefined); // aborted: nothing to rest for
}

function keepUntilSettled(some: Set<Promise<void>>, one: Promise<void>): void {
  some.add(one);
  void one.then(() => some.delete(one));
}
