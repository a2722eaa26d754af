/**
 * How hard a warm-up works the database. When somebody waits for it: two loads at once while the database keeps its speed;
 * one when loads take twice as long as they did; one with rests when they take longer still, so that what is under way on
 * average falls as its speed does. When nobody waits: one load, and a long rest.
 */

/** Loads under way at once, and so the connections to Postgres that a warm-up uses. */
const LANES_MAX = 2;
/** Below two, so that a load that takes twice as long is surely seen. */
const SLOW_RATIO = 1.7;
/**
 * What is usual follows quicker loads soon, for the first ones of a connection are slow, and slower ones hesitantly. It
 * does not follow a database that has become slow: that is what is to be seen.
 */
const FOLLOWS_QUICKER = 0.5;
const FOLLOWS_SLOWER = 0.05;
/** The middle one of three is judged: one load that happens to be slow says nothing. */
const JUDGED_LOADS = 3;
const REST_MAX_MS = 1_000;
/** After each load without hurry: a load takes a few milliseconds, as a rule. */
const LEISURE_REST_MS = 100;
/** As long as a failed load is taken to have lasted: its time limit. */
const FAILED_MS = 1_000;

export class Pace {
  readonly #latestMs: number[] = [];
  #usualMs: number | undefined;
  /** How many times as long as usual loads take. */
  #slowdown = 1;
  readonly #isUrgent: boolean;

  constructor(isUrgent: boolean) {
    this.#isUrgent = isUrgent;
  }

  /** Loads under way at once. */
  get lanes(): number {
    return this.#isUrgent && this.#slowdown < SLOW_RATIO ? LANES_MAX : 1;
  }

  /** Takes in how long a load took, and answers how long to rest before the next one. */
  observe(loadMs: number): number {
    this.#latestMs.push(loadMs);
    if (this.#latestMs.length > JUDGED_LOADS) this.#latestMs.shift();
    if (this.#latestMs.length === JUDGED_LOADS) this.#judge();
    const recoveryMs = Math.min(REST_MAX_MS, loadMs * Math.max(0, this.#slowdown / LANES_MAX - 1));
    return this.#isUrgent ? recoveryMs : Math.max(recoveryMs, LEISURE_REST_MS);
  }

  observeFailure(): void {
    this.observe(FAILED_MS);
  }

  #judge(): void {
    const middleMs = this.#latestMs.toSorted((a, b) => a - b)[1] as number;
    const usualMs = this.#usualMs ?? middleMs;
    this.#slowdown = middleMs / usualMs;
    const follows = middleMs < usualMs ? FOLLOWS_QUICKER : this.#slowdown < SLOW_RATIO ? FOLLOWS_SLOWER : 0;
    this.#usualMs = usualMs + (middleMs - usualMs) * follows;
  }
}
