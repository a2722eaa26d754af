/** The wall clock, read once for a burst of reads from memory: reading it costs more than the hit does. */

/** One reading serves so many calls at most, however long a turn of the event loop takes. */
const USES_MAX = 64;

/** Less than this is how two clocks that are corrected differ, and how they are rounded. */
const SET_BACK_MIN_MS = 50;

/** How often both clocks are read until they agree: more tries would mean that this process gets no time at all. */
const READ_TOGETHER_TRIES = 10;

/**
 * A reading is kept only after two within a millisecond, and until the event loop's turn ends, so that it does not serve
 * a request that comes after a freeze:
 *   1. a burst of reads keeps a reading          3. thawed, the loop ends its turn: the reading is dropped
 *   2. the process is frozen for a minute        4. only then is the next request taken in
 * (A reading that a timer kept would still be there in 4; a Lambda asks for its next request after the turn has ended.)
 * A timer would not do: it may stand still while a Lambda is frozen. A lone read pays for nothing but its own reading.
 */
export class WallClock {
  readonly #onSetBack: () => void;
  #readMs = 0;
  /** When it was read, by the monotonic clock. */
  #readMonotonicMs = 0;
  #usesLeft = 0;
  #isTurnWatched = false;

  /** `onSetBack` is called by the first reading after the clock was set back. */
  constructor(onSetBack: () => void) {
    this.#onSetBack = onSetBack;
  }

  nowMs(): number {
    if (this.#usesLeft === 0) return this.#read();
    this.#usesLeft--;
    return this.#readMs;
  }

  #read(): number {
    let nowMs = Date.now();
    let monotonicMs = performance.now();
    if (nowMs === this.#readMs) this.#keep();
    const seemsSetBack = this.#setBackMs(nowMs, monotonicMs) > SET_BACK_MIN_MS;
    if (seemsSetBack) [nowMs, monotonicMs] = readTogether();
    const isSetBack = seemsSetBack && this.#setBackMs(nowMs, monotonicMs) > SET_BACK_MIN_MS;
    this.#readMs = nowMs;
    this.#readMonotonicMs = monotonicMs;
    if (isSetBack) this.#onSetBack();
    return nowMs;
  }

  #setBackMs(nowMs: number, monotonicMs: number): number {
    return monotonicMs - this.#readMonotonicMs - (nowMs - this.#readMs);
  }

  #keep(): void {
    this.#usesLeft = USES_MAX;
    if (this.#isTurnWatched) return;
    this.#isTurnWatched = true;
    setImmediate(() => {
      this.#isTurnWatched = false;
      this.#usesLeft = 0;
    });
  }
}

/** Both clocks at one moment: a process that has to wait between two readings sees the second one run ahead. */
function readTogether(): [wallMs: number, monotonicMs: number] {
  for (let tries = 1; ; tries++) {
    const beforeMs = Date.now();
    const monotonicMs = performance.now();
    const betweenMs = Date.now() - beforeMs;
    if ((betweenMs >= 0 && betweenMs < SET_BACK_MIN_MS) || tries === READ_TOGETHER_TRIES)
      return [beforeMs, monotonicMs];
  }
}
