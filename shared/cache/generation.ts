/** Which entries count: the generation that the keys carry, checked often enough that a clear elsewhere is noticed within a second. */

import { hasPassed } from '../clock.ts';

/**
 * Promise: one second after a clear or an invalidation was answered, no container answers what was cached before. A
 * container checks at most once in this time, and before it answers from memory when the last check is longer ago, also
 * because it was frozen. Half of the second is left for the check and the answer.
 */
const CHECK_EVERY_MS = 500;

/**
 * An outage is believed for so long after an attempt in vain began. A container that was idle or frozen for longer knows
 * nothing of Redis, and clears may have been made that it has not heard of.
 */
const OUTAGE_BELIEVED_MS = 1_000;

/** A check that was refused cost nothing, and by asking again soon Redis is probed as soon as may be. */
const REFUSED_CHECK_EVERY_MS = 100;

/**
 * How far Redis' clock may fall behind ours between two checks, beyond the time that the first of them was on its way: that
 * one may have been answered at its end, and the second at once. More means that it was set back, or that another server
 * tells now, and some ids would never be told.
 */
const CLOCK_DRIFT_MS = 150;

/** How much more time may have passed for Redis than here: an answer's way, and more than any command takes. */
const CLOCK_AHEAD_MS = 1_000;

/** How long Redis tells of invalidated ids, and refuses what was read before: whoever checks later knows nothing. */
export const INVALIDATIONS_KEPT_MS = 60_000;

/** A load is stored at most so long after a check that came before it: half of what a tombstone lives. */
const STORED_WITHIN_MS = INVALIDATIONS_KEPT_MS / 2;

/** What a check at Redis said. */
export type GenerationCheck = {
  readonly generation: string;
  /** Redis' clock, in ms: where the next check goes on. */
  readonly redisNowMs: number;
  /** Ids that were invalidated since the time from which the check asked. */
  readonly invalidatedIds: readonly string[];
  /** Whether these are all of them. */
  readonly isWhole: boolean;
  /** All schemas of which Redis may have entries: an invalidation is for those of each. */
  readonly schemaVersions: readonly string[];
};

/** How Redis takes what is loaded from a moment on. */
export type Storable = {
  /** Until when, by its own clock. */
  readonly notAfterMs: number;
  /** From when on an invalidation may have overtaken it, by the same clock. */
  readonly sinceMs: number;
};

export type Change = 'none' | 'ids' | 'all';

export class Generation {
  /** Nothing is stored under 0: a container that has not heard from Redis yet finds nothing and stores nothing. */
  #current = '0';
  #checkedAtMs = 0;
  #redisNowMs = 0;
  /** When the check that was taken in last was asked for, and how long its answer took. */
  #askedAtMs = 0;
  #tookMs = 0;
  #lastAsked = 0;
  #lastTakenIn = 0;
  #schemaVersions: readonly string[] = [];

  get current(): string {
    return this.#current;
  }

  /** Redis has reported one. */
  get isKnown(): boolean {
    return this.#current !== '0';
  }

  /** From where on the next check must report what was invalidated, by Redis' clock. */
  get sinceMs(): number {
    return Math.max(0, this.#redisNowMs - this.#driftMaxMs);
  }

  /** As the last check reported them. */
  get schemaVersions(): readonly string[] {
    return this.#schemaVersions;
  }

  /** How Redis takes what is loaded from now on. */
  get storable(): Storable {
    return { notAfterMs: this.#redisNowMs + STORED_WITHIN_MS, sinceMs: this.sinceMs };
  }

  isRecent(nowMs: number): boolean {
    return !hasPassed(CHECK_EVERY_MS, this.#checkedAtMs, nowMs);
  }

  /** Call it when a check is asked for. The order in which that happens counts, which no clock tells if it can be set back. */
  beginCheck(): number {
    return ++this.#lastAsked;
  }

  /** The clock was set back: nobody knows how long ago the last check was. */
  forgetCheck(): void {
    this.#checkedAtMs = 0;
  }

  /**
   * Takes in the check number `asked`, which was asked for at `askedAtMs` and answered by `answeredAtMs`, and says what it
   * means for what is in memory.
   */
  apply(check: GenerationCheck, asked: number, askedAtMs: number, answeredAtMs = askedAtMs): Change {
    const changed = this.raise(check.generation);
    // The one that was asked for later was taken in before, and reported all that this one reports.
    if (asked < this.#lastTakenIn) return changed ? 'all' : 'none';
    this.#lastTakenIn = asked;
    const isListWhole = check.isWhole && this.#coversAllSince(check.redisNowMs, askedAtMs);
    this.#schemaVersions = check.schemaVersions;
    this.#redisNowMs = check.redisNowMs;
    this.#askedAtMs = askedAtMs;
    this.#tookMs = Math.max(0, answeredAtMs - askedAtMs);
    this.#checkedAtMs = askedAtMs;
    if (changed || !isListWhole) return 'all';
    return check.invalidatedIds.length > 0 ? 'ids' : 'none';
  }

  /**
   * Whether the list of a check at `redisNowMs` has forgotten nothing, and nothing was put before where we ask from; and
   * whether our own clock, by which memory's entries expire, was not set back.
   */
  #coversAllSince(redisNowMs: number, askedAtMs: number): boolean {
    const passedMs = redisNowMs - this.#redisNowMs;
    const passedHereMs = askedAtMs - this.#askedAtMs;
    const aheadMs = passedMs - passedHereMs;
    return (
      passedMs < INVALIDATIONS_KEPT_MS - this.#driftMaxMs &&
      aheadMs >= -this.#driftMaxMs &&
      aheadMs <= CLOCK_AHEAD_MS
    );
  }

  get #driftMaxMs(): number {
    return CLOCK_DRIFT_MS + this.#tookMs;
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
  skipCheck(attemptedAtMs: number | undefined, nowMs: number): void {
    if (attemptedAtMs === undefined || hasPassed(OUTAGE_BELIEVED_MS, attemptedAtMs, nowMs)) return;
    const askAgainAtMs = Math.min(nowMs + REFUSED_CHECK_EVERY_MS, attemptedAtMs + OUTAGE_BELIEVED_MS);
    this.#checkedAtMs = askAgainAtMs - CHECK_EVERY_MS;
  }
}
