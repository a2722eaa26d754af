/** Which entries count: the generation that the keys carry, looked at often enough that a clear elsewhere is noticed within a second. */

/**
 * Promise: one second after a clear or an invalidation was answered, no container answers what was cached before. A
 * container looks at most once in this time, and before it answers from memory when the last look is longer ago, also
 * because it was frozen. Half of the second is left for the look and the answer.
 */
const LOOK_EVERY_MS = 500;

/**
 * An outage is believed for so long after an attempt in vain began. A container that was idle or frozen for longer knows
 * nothing of Redis, and clears may have been made that it has not heard of.
 */
const OUTAGE_BELIEVED_MS = 1_000;

/** How long Redis tells of invalidated ids, and refuses what was read before: whoever looks later knows nothing. */
export const INVALIDATIONS_KEPT_MS = 60_000;

/** A load is stored at most so long after a look that came before it: half of what a tombstone lives. */
const STORED_WITHIN_MS = INVALIDATIONS_KEPT_MS / 2;

/** What a look at Redis said. */
export type Look = {
  readonly generation: string;
  /** Redis' clock, in ms: where the next look goes on. */
  readonly redisNowMs: number;
  readonly invalidatedIds: readonly string[];
};

export type Change = 'none' | 'ids' | 'all';

export class Generation {
  /** Nothing is stored under 0: a container that has not heard from Redis yet finds nothing and stores nothing. */
  #current = '0';
  #lookedAtMs = 0;
  #redisNowMs = 0;

  get current(): string {
    return this.#current;
  }

  /** From where on the next look must tell what was invalidated, by Redis' clock. */
  get sinceMs(): number {
    return this.#redisNowMs;
  }

  /** Until when Redis takes what is loaded from now on, by its own clock. */
  get storableUntilMs(): number {
    return this.#redisNowMs + STORED_WITHIN_MS;
  }

  isRecent(nowMs: number): boolean {
    const agoMs = nowMs - this.#lookedAtMs;
    // A wall clock that was set back says nothing about how long ago it was.
    return agoMs >= 0 && agoMs < LOOK_EVERY_MS;
  }

  /** Takes in a look that was asked for at `askedAtMs`, and says what it means for what is in memory. */
  accept(look: Look, askedAtMs: number): Change {
    const sinceLastLookMs = look.redisNowMs - this.#redisNowMs;
    const changed = this.raise(look.generation);
    this.#redisNowMs = look.redisNowMs;
    this.#lookedAtMs = askedAtMs;
    // Another server's clock (after a failover) may hide ids, and after so long the list has forgotten some: then nothing
    // in memory is known to be good.
    if (changed || sinceLastLookMs < 0 || sinceLastLookMs >= INVALIDATIONS_KEPT_MS) return 'all';
    return look.invalidatedIds.length > 0 ? 'ids' : 'none';
  }

  /** Goes on with `generation`, unless a higher one is known: answers to two questions may come in either order. */
  raise(generation: string): boolean {
    if (Number(generation) <= Number(this.#current)) return false;
    this.#current = generation;
    return true;
  }

  /**
   * Redis cannot be asked: memory goes on for the same time as after a look, if the last attempt, which began at
   * `attemptedAtMs`, was made lately. If it was not, nothing in memory counts until Redis has been asked again.
   */
  skipLook(attemptedAtMs: number | undefined): void {
    const nowMs = Date.now();
    if (attemptedAtMs !== undefined && nowMs - attemptedAtMs < OUTAGE_BELIEVED_MS) this.#lookedAtMs = nowMs;
  }
}
