/** One time limit for many waits, counted in turns of one timer: the clients' own sets and clears a timer for each command. */

type Wait = { isOver: boolean; readonly giveUp: () => void };

/** A wait ends after this many ticks at least, and one more at most: with a limit of 100 ms, after 100 to 125 ms. */
const TICKS = 4;

/**
 * Counts only while this process runs. After a stall (a frozen container, a long collection of garbage) the timer goes off
 * once, before the socket is read, and a limit that looked at a clock would give up what was answered long ago.
 */
export class TimeLimit {
  readonly #tickMs: number;
  readonly #makeError: () => Error;
  /** What began between two ticks, in a ring: the place after the current one is the oldest. */
  readonly #begun: Wait[][] = Array.from({ length: TICKS + 1 }, () => []);
  #current = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number, makeError: () => Error) {
    this.#tickMs = Math.ceil(limitMs / TICKS);
    this.#makeError = makeError;
  }

  /** Settles as `work` does, or rejects when it takes too long; `work` itself goes on. */
  bound<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const wait: Wait = { isOver: false, giveUp: () => reject(this.#makeError()) };
      (this.#begun[this.#current] as Wait[]).push(wait);
      this.#timer ??= setTimeout(() => this.#tick(), this.#tickMs);
      work.then(
        (value) => {
          wait.isOver = true;
          resolve(value);
        },
        (error) => {
          wait.isOver = true;
          reject(error);
        },
      );
    });
  }

  #tick(): void {
    this.#current = (this.#current + 1) % this.#begun.length;
    const late = (this.#begun[this.#current] as Wait[]).filter((wait) => !wait.isOver);
    this.#begun[this.#current] = [];
    this.#timer = this.#isAnybodyWaiting() ? setTimeout(() => this.#tick(), this.#tickMs) : undefined;
    for (const { giveUp } of late) giveUp();
  }

  #isAnybodyWaiting(): boolean {
    return this.#begun.some((waits) => waits.some((wait) => !wait.isOver));
  }
}
