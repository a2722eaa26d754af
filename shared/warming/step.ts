/** One step of a warm-up: its operations with their retries, what they achieved, and what failed and why. */
import type { Warmed } from '../cache/loader.ts';
import {
  DatabaseUnavailableError,
  OperationTimeoutError,
  RedisUnavailableError,
  RetriesExhaustedError,
  rootCause,
  StatementTimeoutError,
} from '../errors.ts';
import { log } from '../logger.ts';
import type { PlanPart, WarmBatch } from './plan.ts';
import type { KeyCounts, StepReport } from './report.ts';
import { type Attempt, retry } from './retry.ts';

/** How often a batch that takes too long is tried, which one of its keys may be to blame for: several are parted instead. */
const SLOW_BATCH_RETRIES = 0;
const SLOW_KEY_RETRIES = 1;

/** What became of a batch; `slow`: the database is well, and has no time for all of its keys at once. */
export type BatchOutcome = 'warmed' | 'failed' | 'slow';

export type Confirmed = { readonly confirmed: number; readonly lostToEviction: number };

/** Collects a step's results while its operations run side by side. */
export class Step {
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #isDatabaseWell: () => Promise<boolean>;
  readonly #warmed = new Map<WarmBatch, Warmed>();
  readonly #planned: WarmBatch[] = [];
  readonly #failedKeys = new Map<string, number>();
  #keysFromReads: number | undefined;
  #attempts = 0;
  #failed = false;
  #isHopeless = false;
  #confirmed: Confirmed | undefined;
  #lost = 0;
  #beganMonotonicMs = performance.now();
  #tookMs = 0;

  constructor(name: string, signal: AbortSignal, isDatabaseWell = async () => false) {
    this.#name = name;
    this.#signal = signal;
    this.#isDatabaseWell = isDatabaseWell;
  }

  /** Runs one operation with its retries; a failure that stays is recorded with the keys that it costs, and answers undefined. */
  async attempt<T>(keysAtStake: number, operation: (attempt: Attempt) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#retry(operation);
    } catch (error) {
      this.#fail(error, keysAtStake);
      return undefined;
    }
  }

  /** Takes on what is to be warmed: the first part, or one more. */
  plan({ batches, keysFromReads }: PlanPart): void {
    this.#planned.push(...batches);
    this.#keysFromReads = (this.#keysFromReads ?? 0) + keysFromReads;
  }

  /** Warms a batch, with its retries; calls `onFailed` after each try that failed. */
  async warm(
    batch: WarmBatch,
    onLoaded: (loadMs: number) => void,
    onFailed: () => void,
  ): Promise<BatchOutcome> {
    const keys = batch.keys.length;
    let isSlow = false;
    let isLoaded = false;
    const warm = ({ signal }: Attempt) => {
      isLoaded = false;
      return batch.warm(signal, (loadMs) => {
        isLoaded = true;
        onLoaded(loadMs);
      });
    };
    const retriesMax = async (error: unknown) => {
      onFailed();
      // What was loaded in time waits for Redis.
      isSlow = !isLoaded && isTooLate(error) && (await this.#isDatabaseWell());
      if (!isSlow) return Number.POSITIVE_INFINITY;
      return keys > 1 ? SLOW_BATCH_RETRIES : SLOW_KEY_RETRIES;
    };
    try {
      const warmed = await this.#retry(warm, retriesMax);
      this.#warmed.set(batch, withOwnKeys(warmed, batch));
      return 'warmed';
    } catch (error) {
      if (isSlow && !this.#signal.aborted) return 'slow';
      this.#fail(error, keys);
      return 'failed';
    }
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

  /** Takes in what is in Redis in the end; of what was stored, `lost` are known not to be. */
  confirm(confirmed: Confirmed, lost: number, cause: string): void {
    this.#confirmed = confirmed;
    this.#lost = lost;
    if (lost > 0) this.#countFailure(cause, lost);
  }

  /** Stops the step's clock while other steps come; `resume` goes on with this one. */
  pause(): void {
    this.#tookMs += performance.now() - this.#beganMonotonicMs;
  }

  resume(): void {
    this.#beganMonotonicMs = performance.now();
  }

  /** What was stored could not be looked up: nobody knows whether it is there. */
  failToConfirm(error: unknown): void {
    this.#fail(error, 0);
  }

  /** What an operation needs was away through all its retries, or the run's signal was aborted. */
  get isHopeless(): boolean {
    return this.#isHopeless || this.#signal.aborted;
  }

  /** Marks the rest as not worth trying. */
  despair(): void {
    this.#isHopeless = true;
  }

  get hasWarmed(): boolean {
    return this.#warmed.size > 0;
  }

  warmedOf(batch: WarmBatch): Warmed | undefined {
    return this.#warmed.get(batch);
  }

  /** The keys whose values were stored, in the order of the plan: the most read come first. */
  get storedKeys(): string[] {
    const planned = new Set(this.#planned);
    const parts = [...this.#warmed].filter(([batch]) => !planned.has(batch));
    const inParts = new Set(parts.flatMap(([, { storedKeys }]) => storedKeys));
    return this.#planned.flatMap(
      (batch) => this.#warmed.get(batch)?.storedKeys ?? batch.keys.filter((key) => inParts.has(key)),
    );
  }

  /** What was planned and neither warmed nor found newer has failed, whether it was tried or given up. */
  report(): StepReport {
    this.pause();
    const results = [...this.#warmed.values()];
    const planned = this.#planned.reduce((sum, { keys }) => sum + keys.length, 0);
    const warmed = results.reduce((sum, { storedKeys }) => sum + storedKeys.length, 0) - this.#lost;
    const absent = results.reduce((sum, each) => sum + each.absent, 0);
    const skipped = results.reduce((sum, { newerStored }) => sum + newerStored, 0);
    const failed = planned - warmed - absent - skipped;
    const counts: KeyCounts = { planned, warmed, absent, skipped, failed };
    const tried = [...this.#failedKeys].map(([cause, keys]) => ({ cause, keys }));
    const untriedKeys = failed - tried.reduce((sum, { keys }) => sum + keys, 0);
    return {
      name: this.#name,
      status: !this.#failed && failed === 0 ? 'success' : warmed + skipped === 0 ? 'failed' : 'partial',
      durationMs: Math.round(this.#tookMs),
      attempts: this.#attempts,
      ...counts,
      ...(this.#keysFromReads !== undefined && { plannedFromReads: this.#keysFromReads }),
      ...this.#confirmed,
      failures: untriedKeys > 0 ? [...tried, { cause: 'not tried any more', keys: untriedKeys }] : tried,
    };
  }

  #retry<T>(
    operation: (attempt: Attempt) => Promise<T>,
    retriesMax?: (error: unknown) => Promise<number>,
  ): Promise<T> {
    const counted = (attempt: Attempt) => {
      this.#attempts = Math.max(this.#attempts, attempt.number);
      return operation(attempt);
    };
    return retry(this.#name, counted, this.#signal, undefined, retriesMax);
  }

  #fail(error: unknown, keysAtStake: number): void {
    this.#isHopeless ||= isOutage(error);
    this.#countFailure(rootCause(error), keysAtStake);
    const attempts = error instanceof RetriesExhaustedError ? error.attempts : this.#attempts;
    log.warn('warmup.step_failed', 'A part of the warm-up failed.', {
      step: this.#name,
      attempts,
      keys: keysAtStake,
      error,
    });
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

/** With the batch's own texts for its keys: of a million keys it matters that each text is there once. */
function withOwnKeys(warmed: Warmed, { keys }: WarmBatch): Warmed {
  return warmed.storedKeys.length === keys.length ? { ...warmed, storedKeys: keys } : warmed;
}

function keysOf(batches: readonly WarmBatch[]): string[] {
  return batches.flatMap(({ keys }) => keys);
}

function isTooLate(error: unknown): boolean {
  return error instanceof StatementTimeoutError || error instanceof OperationTimeoutError;
}

/** Whether a server was away, so that it is not the batch's own fault. */
function isOutage(error: unknown): boolean {
  const cause = error instanceof RetriesExhaustedError ? error.cause : error;
  return (
    cause instanceof DatabaseUnavailableError ||
    cause instanceof RedisUnavailableError ||
    cause instanceof OperationTimeoutError
  );
}
