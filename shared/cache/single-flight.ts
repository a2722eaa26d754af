/** One piece of work per key at a time in this process: whoever asks meanwhile shares its result, or its failure. */

export class SingleFlight<Result> {
  readonly #flights = new Map<string, Promise<Result>>();

  get(key: string): Promise<Result> | undefined {
    return this.#flights.get(key);
  }

  /** Joins the work under way for `key`, or starts it. */
  run(key: string, work: () => Promise<Result>): Promise<Result> {
    const underWay = this.#flights.get(key);
    if (underWay !== undefined) return underWay;
    const flight = work().finally(() => {
      // A flight that was forgotten and followed by another must not end the other's entry.
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#flights.set(key, flight);
    return flight;
  }

  /** Nobody joins what is under way for `key` any more: what it reads may be older than what the next caller must see. */
  forget(key: string): void {
    this.#flights.delete(key);
  }

  forgetAll(): void {
    this.#flights.clear();
  }
}
