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

/** A look that was refused cost nothing, and by asking again soon Redis is probed as soon as may be. */
const REFUSED_LOOK_EVERY_MS = 100;

/**
 * How far Redis' clock may fall behind ours between two looks: a command's time limit, and half of it for what clocks do.
 * More means that it was set back, or that another server tells now, and some ids would never be told.
 */
const CLOCK_DRIFT_MS = 150;

/** Longer than any command takes. */
const OVERTAKEN_BY_MAX_MS = 1_000;

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
  /** When the look that was taken in last was asked for. */
  #askedAtMs = 0;

  get current(): string {
    return this.#current;
  }

  /** From where on the next look must tell what was invalidated, by Redis' clock. */
  get sinceMs(): number {
    return Math.max(0, this.#redisNowMs - CLOCK_DRIFT_MS);
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
    const changed = this.raise(look.generation);
    // The one that was asked for later was taken in before, and has told all that this one tells. (Much later means that
    // our own clock was set back.)
    const overtakenByMs = this.#askedAtMs - askedAtMs;
    if (overtakenByMs > 0 && overtakenByMs < OVERTAKEN_BY_MAX_MS) return changed ? 'all' : 'none';
    const isListWhole = this.#tellsAllSince(look.redisNowMs, askedAtMs);
    this.#redisNowMs = look.redisNowMs;
    this.#askedAtMs = askedAtMs;
    this.#lookedAtMs = askedAtMs;
    if (changed || !isListWhole) return 'all';
    return look.invalidatedIds.length > 0 ? 'ids' : 'none';
  }

  /** Whether the list of a look at `redisNowMs` has forgotten nothing, and nothing was put before where we ask from. */
  #tellsAllSince(redisNowMs: number, askedAtMs: number): boolean {
    const passedMs = redisNowMs - this.#redisNowMs;
    const passedHereMs = askedAtMs - this.#askedAtMs;
    return passedMs < INVALIDATIONS_KEPT_MS - CLOCK_DRIFT_MS && passedMs >= passedHereMs - CLOCK_DRIFT_MS;
  }

  /** Goes on with `generation`, unless a higher one is known: answers to two questions may come in either order. */
  raise(generation: string): boolean {
    if (Number(generation) <= Number(this.#current)) return false;
    this.#current = generation;
    return true;
  }

  /**
   * Redis cannot be asked: memory goes on for a moment, if the last attempt, which began at `attemptedAtMs`, was made
   * lately. If it was not, nothing in memory counts until Redis has been asked again.
   */
  skipLook(attemptedAtMs: number | undefined, nowMs: number): void {
    if (attemptedAtMs === undefined || nowMs - attemptedAtMs >= OUTAGE_BELIEVED_MS) return;
    this.#lookedAtMs = nowMs - LOOK_EVERY_MS + REFUSED_LOOK_EVERY_MS;
  }
}
