/** One piece of work per key at a time in this process: whoever asks meanwhile shares its result, or its failure. */

import { hasPassed } from '../clock.ts';

type Flight<Result> = { readonly result: Promise<Result>; readonly beganAtMs: number };

export class SingleFlight<Result> {
  readonly #flights = new Map<string, Flight<Result>>();
  readonly #joinableMs: number;

  /**
   * Work is joined for `joinableMs` of the wall clock at most. It is meant for work that takes less, and closes this:
   *   1. A asks, and Redis answers with what it has     3. another container invalidates it; a second passes
   *   2. this container is frozen                       4. thawed, B asks: joined to A's, it would be answered 1's
   */
  constructor(joinableMs: number) {
    this.#joinableMs = joinableMs;
  }

  get(key: string): Promise<Result> | undefined {
    const flight = this.#flights.get(key);
    return flight !== undefined && !hasPassed(this.#joinableMs, flight.beganAtMs) ? flight.result : undefined;
  }

  /** Joins the work under way for `key`, or starts it. */
  run(key: string, work: () => Promise<Result>): Promise<Result> {
    const underWay = this.get(key);
    if (underWay !== undefined) return underWay;
    const result = work().finally(() => {
      // A flight that was forgotten and followed by another must not end the other's entry.
      if (this.#flights.get(key)?.result === result) this.#flights.delete(key);
    });
    this.#flights.set(key, { result, beganAtMs: Date.now() });
    return result;
  }

  /** Nobody joins what is under way for `key` any more: what it reads may be older than what the next caller must see. */
  forget(key: string): void {
    this.#flights.delete(key);
  }

  forgetAll(): void {
    this.#flights.clear();
  }
}
