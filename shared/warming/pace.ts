/**
 * How hard a warm-up works the database and Redis. One load at a time, while what was loaded before it is stored; then a
 * rest half as long again as both took, in which readers have the two for themselves. When loads or stores take longer than they
 * did, the rest grows so that the work under way on average falls as the speed of the slower one does. When nobody waits
 * for the run, the rest is a long one.
 */

/** From this ratio to the usual time on, something is slow: below two, so that twice as long is surely seen. */
const SLOW_RATIO = 1.7;
/**
 * What is usual follows what is quicker soon, for the first ones of a connection are slow, and what is slower
 * hesitantly. It does not follow a server that has become slow: that is what is to be seen.
 */
const FOLLOWS_QUICKER = 0.5;
const FOLLOWS_SLOWER = 0.05;
/** The middle one of three is judged: one that happens to be slow says nothing. */
const JUDGED = 3;
/** How long a run rests, in multiples of its work, where nothing is slow; measured in decision 0037. */
const REST_PER_WORK = 1.5;
const REST_MAX_MS = 1_000;
/** The rest after each load of a run without hurry; a load takes a few milliseconds, as a rule. */
const LEISURE_REST_MS = 100;
/** All rests of a run without hurry together are at most so long: a deployment's run waits 35 s for the lock. */
const LEISURE_MS = 20_000;
/** How long a failed load counts as having taken: its time limit. */
const FAILED_MS = 1_000;

export class Pace {
  readonly #database = new Speed();
  readonly #redis = new Speed();
  readonly #isUrgent: boolean;
  #storeMs = 0;
  #leisureRestMs = LEISURE_REST_MS;

  constructor(isUrgent: boolean) {
    this.#isUrgent = isUrgent;
  }

  /** Takes in how many loads there may be in all. */
  expect(loads: number): void {
    this.#leisureRestMs = Math.min(LEISURE_REST_MS, LEISURE_MS / Math.max(1, loads));
  }

  /** Takes in how long a load took, and answers how long to rest before the next one. */
  observeLoad(loadMs: number): number {
    this.#database.observe(loadMs);
    const slowdown = Math.max(this.#database.slowdown, this.#redis.slowdown);
    // The work has two fifths of the time where nothing is slow, a quarter where something takes thrice as long.
    const restMs = (loadMs + this.#storeMs) * (slowdown < SLOW_RATIO ? REST_PER_WORK : slowdown);
    return Math.min(REST_MAX_MS, this.#isUrgent ? restMs : Math.max(restMs, this.#leisureRestMs));
  }

  observeStore(storeMs: number): void {
    this.#storeMs = storeMs;
    this.#redis.observe(storeMs);
  }

  observeFailure(): void {
    this.#database.observe(FAILED_MS);
  }
}

class Speed {
  readonly #latestMs: number[] = [];
  #usualMs: number | undefined;
  /** How many times as long as usual it takes. */
  slowdown = 1;

  observe(tookMs: number): void {
    this.#latestMs.push(tookMs);
    if (this.#latestMs.length > JUDGED) this.#latestMs.shift();
    if (this.#latestMs.length === JUDGED) this.#judge();
  }

  #judge(): void {
    const middleMs = this.#latestMs.toSorted((a, b) => a - b)[1] as number;
    const usualMs = this.#usualMs ?? middleMs;
    this.slowdown = middleMs / usualMs;
    const follows = middleMs < usualMs ? FOLLOWS_QUICKER : this.slowdown < SLOW_RATIO ? FOLLOWS_SLOWER : 0;
    this.#usualMs = usualMs + (middleMs - usualMs) * follows;
  }
}
