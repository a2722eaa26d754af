/** One time limit for many waits, counted in turns of one timer: the client's own sets and clears a timer for each command. */

type GiveUp = (error: Error) => void;

/** A wait ends after this many ticks at least, and one more at most: with a limit of 100 ms, after 100 to 125 ms. */
const TICKS = 4;

/**
 * Counts only while this process runs. After a stall (a frozen container, a long collection of garbage) the timer goes off
 * once, before the socket is read, and a limit that looked at a clock would give up what was answered long ago.
 */
export class TimeLimit {
  readonly #tickMs: number;
  readonly #makeError: () => Error;
  /** Waits by the tick in which they began, in a ring: the place after the current one is the oldest. */
  readonly #waiting: Set<GiveUp>[] = Array.from({ length: TICKS + 1 }, () => new Set());
  #current = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number, makeError: () => Error) {
    this.#tickMs = Math.ceil(limitMs / TICKS);
    this.#makeError = makeError;
  }

  /** Settles as `work` does, or rejects when it takes too long; `work` itself goes on. */
  bound<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const place = this.#waiting[this.#current] as Set<GiveUp>;
      place.add(reject);
      if (this.#timer === undefined) this.#startTimer();
      work.then(
        (value) => {
          place.delete(reject);
          resolve(value);
        },
        (error) => {
          place.delete(reject);
          reject(error);
        },
      );
    });
  }

  #startTimer(): void {
    this.#timer = setTimeout(() => this.#tick(), this.#tickMs);
  }

  #tick(): void {
    this.#timer = undefined;
    this.#current = (this.#current + 1) % this.#waiting.length;
    const oldest = this.#waiting[this.#current] as Set<GiveUp>;
    for (const giveUp of oldest) giveUp(this.#makeError());
    oldest.clear();
    if (this.#waiting.some(({ size }) => size > 0)) this.#startTimer();
  }
}
