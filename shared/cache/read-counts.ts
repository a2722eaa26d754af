/** How often each key was answered lately, from which warm-ups learn what people read. Bounded: beyond the bound, new keys are not counted. */

/** In 15 s one container answers at most a few thousand different keys. */
const MANY_KEYS = 4_000;
/**
 * Room for what comes until many are taken: the keys of a request and those in memory, whose hits are reported last. Beyond it,
 * what is counted already goes on.
 */
const KEYS_MAX = 6_000;

export class ReadCounts {
  #counts = new Map<string, number>();

  add(key: string, reads: number): void {
    const counted = this.#counts.get(key);
    if (counted === undefined && this.#counts.size >= KEYS_MAX) return;
    this.#counts.set(key, (counted ?? 0) + reads);
  }

  get hasMany(): boolean {
    return this.#counts.size >= MANY_KEYS;
  }

  /** Hands over what was counted since the last time. */
  take(): ReadonlyMap<string, number> {
    const counts = this.#counts;
    this.#counts = new Map();
    return counts;
  }
}
