/** One step of a warm-up: its operations with their retries, what they achieved, and what failed and why. */
import type { Warmed } from '../cache/loader.ts';
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
import type { WarmBatch, WarmPlan } from './target.ts';

/** Collects a step's results while its operations run side by side. */
export class Step {
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #startedAtMs = performance.now();
  readonly #warmed = new Map<WarmBatch, Warmed>();
  readonly #unfinished: WarmBatch[] = [];
  readonly #failedKeys = new Map<string, number>();
  #planned = 0;
  #plannedFromReads: number | undefined;
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

  plan({ batches, keysFromReads }: Pick<WarmPlan, 'batches' | 'keysFromReads'>): void {
    this.#planned = keysOf(batches).length;
    this.#plannedFromReads = keysFromReads;
  }

  /** Warms a batch, with its retries; answers undefined when they all failed. */
  async warm(batch: WarmBatch, onLoaded: (loadMs: number) => void): Promise<Warmed | undefined> {
    const warmed = await this.attempt(batch.keys.length, ({ signal }) => batch.warm(signal, onLoaded));
    if (warmed !== undefined) this.#warmed.set(batch, warmed);
    else if (this.#signal.aborted) this.#unfinished.push(batch);
    return warmed;
  }

  /** Not begun, because the run must end. */
  leave(batches: readonly WarmBatch[]): void {
    this.#unfinished.push(...batches);
  }

  /** The batches that were stored under another generation: a clear has made them invisible since, and they count no more. */
  takeCleared(generation: string): WarmBatch[] {
    const cleared = [...this.#warmed].filter(([, warmed]) => warmed.generation !== generation);
    for (const [batch] of cleared) this.#warmed.delete(batch);
    return cleared.map(([batch]) => batch);
  }

  giveUp(batches: readonly WarmBatch[], cause: string): void {
    if (batches.length > 0) this.#countFailure(cause, keysOf(batches).length);
  }

  /** What an operation needs was away through all its retries, or the run was told to end. */
  get isHopeless(): boolean {
    return this.#isHopeless || this.#signal.aborted;
  }

  /** What the next run should begin with. A batch that failed all its tries is not among it: it may do so each time. */
  get unfinishedKeys(): string[] {
    return keysOf(this.#unfinished);
  }

  /** What was planned and neither warmed nor found newer has failed, whether it was tried or given up. */
  report(): StepReport {
    const results = [...this.#warmed.values()];
    const warmed = results.reduce((sum, { stored }) => sum + stored, 0);
    const skipped = results.reduce((sum, { newerStored }) => sum + newerStored, 0);
    const failed = this.#planned - warmed - skipped;
    const counts: KeyCounts = { planned: this.#planned, warmed, skipped, failed };
    const tried = [...this.#failedKeys].map(([cause, keys]) => ({ cause, keys }));
    const untriedKeys = failed - tried.reduce((sum, { keys }) => sum + keys, 0);
    return {
      name: this.#name,
      status: !this.#failed && failed === 0 ? 'success' : warmed + skipped === 0 ? 'failed' : 'partial',
      durationMs: Math.round(performance.now() - this.#startedAtMs),
      attempts: this.#attempts,
      ...counts,
      ...(this.#plannedFromReads !== undefined && { plannedFromReads: this.#plannedFromReads }),
      failures: untriedKeys > 0 ? [...tried, { cause: 'not tried any more', keys: untriedKeys }] : tried,
    };
  }

  #fail(error: unknown, keysAtStake: number): void {
    this.#isHopeless ||= isOutage(error);
    this.#countFailure(rootCause(error), keysAtStake);
    const attempts = error instanceof RetriesExhaustedError ? error.attempts : this.#attempts;
    log.warn('A part of the warm-up failed.', { step: this.#name, attempts, keys: keysAtStake, error });
  }

  #countFailure(cause: string, keys: number): void {
    this.#failed = true;
    this.#failedKeys.set(cause, (this.#failedKeys.get(cause) ?? 0) + keys);
  }
}

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

function keysOf(batches: readonly WarmBatch[]): string[] {
  return batches.flatMap(({ keys }) => keys);
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
