/** One step of a warm-up: its operations with their retries, what they achieved, and what failed and why. */
import {
  DatabaseUnavailableError,
  OperationTimeoutError,
  RedisUnavailableError,
  RetriesExhaustedError,
  rootCause,
} from '../errors.ts';
import { log } from '../logger.ts';
import type { KeyCounts, StepReport } from './report.ts';
import { type Attempt, retry } from './retry.ts';

/** Batches under way at once, and so the connections to Postgres that a warm-up uses. */
const LANES = 2;

/** Some keys that one statement loads. */
type WarmBatch = {
  readonly keys: number;
  /** Loads and stores them; answers how many were stored, and how many had something newer there. */
  warm(signal: AbortSignal): Promise<{ stored: number; newerStored: number }>;
};

/** What a warm-up must know of a dataset. */
export type WarmTarget = {
  readonly step: string;
  /** What to warm, best first. */
  choose(): Promise<WarmBatch[]>;
};

/** Collects a step's results while its operations run side by side. */
class Step {
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #startedAtMs = performance.now();
  readonly #failedKeys = new Map<string, number>();
  #planned = 0;
  #warmed = 0;
  #skipped = 0;
  #attempts = 0;
  #failed = false;
  #isHopeless = false;

  constructor(name: string, signal: AbortSignal) {
    this.#name = name;
    this.#signal = signal;
  }

  /** Runs one operation with its retries; a failure that stays is recorded with the keys that it costs, and answers undefined. */
  async attempt<T>(keysAtStake: number, operation: (attempt: Attempt) => Promise<T>): Promise<T | undefined> {
    try {
      return await retry(
        this.#name,
        (attempt) => {
          this.#attempts = Math.max(this.#attempts, attempt.number);
          return operation(attempt);
        },
        this.#signal,
      );
    } catch (error) {
      this.#fail(error, keysAtStake);
      return undefined;
    }
  }

  /** What an operation needs was away through all its retries, or the run was told to end. */
  get isHopeless(): boolean {
    return this.#isHopeless || this.#signal.aborted;
  }

  plan(keys: number): void {
    this.#planned = keys;
  }

  add(warmed: { stored: number; newerStored: number }): void {
    this.#warmed += warmed.stored;
    this.#skipped += warmed.newerStored;
  }

  /** What was planned and neither warmed nor found newer has failed, whether it was tried or given up. */
  report(): StepReport {
    const counts: KeyCounts = {
      planned: this.#planned,
      warmed: this.#warmed,
      skipped: this.#skipped,
      failed: this.#planned - this.#warmed - this.#skipped,
    };
    const tried = [...this.#failedKeys].map(([cause, keys]) => ({ cause, keys }));
    const untriedKeys = counts.failed - tried.reduce((sum, { keys }) => sum + keys, 0);
    const nothingDone = counts.warmed + counts.skipped === 0;
    return {
      name: this.#name,
      status: !this.#failed ? 'success' : nothingDone ? 'failed' : 'partial',
      durationMs: Math.round(performance.now() - this.#startedAtMs),
      attempts: this.#attempts,
      ...counts,
      failures: untriedKeys > 0 ? [...tried, { cause: 'not tried any more', keys: untriedKeys }] : tried,
    };
  }

  #fail(error: unknown, keysAtStake: number): void {
    this.#failed = true;
    this.#isHopeless ||= isOutage(error);
    const cause = rootCause(error);
    this.#failedKeys.set(cause, (this.#failedKeys.get(cause) ?? 0) + keysAtStake);
    const attempts = error instanceof RetriesExhaustedError ? error.attempts : this.#attempts;
    log.warn('A part of the warm-up failed.', { step: this.#name, attempts, keys: keysAtStake, error });
  }
}

export const CONNECTION_STEP = 'database-connection';

/** A step of one operation that warms no keys; `value` is undefined when it failed all its tries. */
export async function runOperation<T>(
  name: string,
  operation: (attempt: Attempt) => Promise<T>,
  signal: AbortSignal,
): Promise<{ readonly value: T | undefined; readonly report: StepReport }> {
  const step = new Step(name, signal);
  const value = await step.attempt(0, operation);
  return { value, report: step.report() };
}

/** Chooses what to warm and warms it in batches, some side by side; a batch that fails leaves the others alone. */
export async function warmTarget(target: WarmTarget, signal: AbortSignal): Promise<StepReport> {
  const step = new Step(target.step, signal);
  const batches = (await step.attempt(0, () => target.choose())) ?? [];
  step.plan(batches.reduce((keys, batch) => keys + batch.keys, 0));
  await Promise.allSettled(Array.from({ length: LANES }, () => runLane(batches, step)));
  return step.report();
}

/** Takes batches until none is left, or until the database or Redis is away: then the next batches would fail as well. */
async function runLane(batches: WarmBatch[], step: Step): Promise<void> {
  for (let batch = batches.shift(); batch !== undefined && !step.isHopeless; batch = batches.shift()) {
    const { keys, warm } = batch;
    const warmed = await step.attempt(keys, ({ signal }) => warm(signal));
    if (warmed !== undefined) step.add(warmed);
  }
}

/** Not the batch's own fault. */
function isOutage(error: unknown): boolean {
  const cause = error instanceof RetriesExhaustedError ? error.cause : error;
  return (
    cause instanceof DatabaseUnavailableError ||
    cause instanceof RedisUnavailableError ||
    cause instanceof OperationTimeoutError
  );
}
