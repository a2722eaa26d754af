/**
 * How hard a warm-up works the database: as hard as it may while the database keeps its speed, half as hard each time that
 * it takes twice as long as it did, and harder again when it has recovered.
 */

/** Loads under way at once, and so the connections to Postgres that a warm-up uses. */
export const LANES_MAX = 2;
/** An eighth: after each load seven times its duration of rest. */
const CONCURRENCY_MIN = 1 / 8;
/** Below two, so that a load that takes twice as long is surely seen. */
const SLOW_RATIO = 1.7;
const CALM_RATIO = 1.3;
/** The middle one of three is judged: one load that happens to be slow says nothing. */
const JUDGED_LOADS = 3;
const REST_MAX_MS = 1_000;

export class Pace {
  #concurrency = LANES_MAX;
  #latestMs: number[] = [];
  /** What loads took when they were quickest. */
  #usualMs = Number.POSITIVE_INFINITY;

  /** Loads under way at once; below 1 is one load, with rests. */
  get concurrency(): number {
    return this.#concurrency;
  }

  get lanes(): number {
    return Math.max(1, this.#concurrency);
  }

  /** Takes in how long a load took, and answers how long to rest before the next one. */
  observe(loadMs: number): number {
    this.#latestMs.push(loadMs);
    if (this.#latestMs.length >= JUDGED_LOADS) this.#judge();
    return Math.min(REST_MAX_MS, loadMs * Math.max(0, 1 / this.#concurrency - 1));
  }

  /** A load failed: the database may have had too much of it. */
  observeFailure(): void {
    this.#changeTo(this.#concurrency / 2);
  }

  #judge(): void {
    const middleMs = this.#latestMs.toSorted((a, b) => a - b)[1] as number;
    this.#usualMs = Math.min(this.#usualMs, middleMs);
    if (middleMs > this.#usualMs * SLOW_RATIO) this.#changeTo(this.#concurrency / 2);
    else if (middleMs < this.#usualMs * CALM_RATIO) this.#changeTo(this.#concurrency * 2);
    else this.#latestMs.shift();
  }

  /** What was measured before says nothing about the new pace. */
  #changeTo(concurrency: number): void {
    const changed = Math.min(LANES_MAX, Math.max(CONCURRENCY_MIN, concurrency));
    if (changed === this.#concurrency) this.#latestMs.shift();
    else this.#latestMs = [];
    this.#concurrency = changed;
  }
}
