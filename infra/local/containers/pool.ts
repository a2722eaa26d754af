/** Things that one at a time may use: whoever finds none idle waits, so many at most and no longer than they say. */
import { within } from '../time-limit.ts';

export class Pool<T> {
  /** The one used last is the next, as with Lambda's containers, so that the others may end. */
  readonly #idle: T[];
  readonly #waiting = new Set<(item: T) => void>();
  readonly #size: number;
  readonly #maxWaiting: number;

  constructor(items: readonly T[], maxWaiting: number) {
    this.#idle = [...items];
    this.#size = items.length;
    this.#maxWaiting = maxWaiting;
  }

  get used(): number {
    return this.#size - this.#idle.length;
  }

  /** Undefined when too many wait already, or the wait took too long. */
  async take(maxWaitMs: number): Promise<T | undefined> {
    const idle = this.#idle.pop();
    if (idle !== undefined || this.#waiting.size >= this.#maxWaiting) return idle;
    const { promise, resolve } = Promise.withResolvers<T | undefined>();
    this.#waiting.add(resolve);
    return within(maxWaitMs, promise, () => void this.#waiting.delete(resolve));
  }

  /** To whoever waits longest; else it is idle, and `isLast` has the others used before it. */
  giveBack(item: T, isLast = false): void {
    const [next] = this.#waiting;
    if (next === undefined) return void (isLast ? this.#idle.unshift(item) : this.#idle.push(item));
    this.#waiting.delete(next);
    next(item);
  }
}
