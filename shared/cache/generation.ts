/** Which entries count: the generation that the keys carry, looked at often enough that a clear elsewhere is noticed within a second. */

import { hasPassed } from '../clock.ts';

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
 * How far Redis' clock may fall behind ours between two looks, beyond the time that the first of them was on its way: that
 * one may have been answered at its end, and the second at once. More means that it was set back, or that another server
 * tells now, and some ids would never be told.
 */
const CLOCK_DRIFT_MS = 150;

/** How much more time may have passed for Redis than here: an answer's way, and more than any command takes. */
const CLOCK_AHEAD_MS = 1_000;

/** How long Redis tells of invalidated ids, and refuses what was read before: whoever looks later knows nothing. */
export const INVALIDATIONS_KEPT_MS = 60_000;

/** A load is stored at most so long after a look that came before it: half of what a tombstone lives. */
const STORED_WITHIN_MS = INVALIDATIONS_KEPT_MS / 2;

/** What a look at Redis said. */
export type Look = {
  readonly generation: string;
  /** Redis' clock, in ms: where the next look goes on. */
  readonly redisNowMs: number;
  /** Ids that were invalidated since the time from which the look asked. */
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
  #lookedAtMs = 0;
  #redisNowMs = 0;
  /** When the look that was taken in last was asked for, and how long its answer took. */
  #askedAtMs = 0;
  #tookMs = 0;
  #lastAsked = 0;
  #lastTakenIn = 0;
  #schemaVersions: readonly string[] = [];

  get current(): string {
    return this.#current;
  }

  /** Redis has told of it. */
  get isKnown(): boolean {
    return this.#current !== '0';
  }

  /** From where on the next look must tell what was invalidated, by Redis' clock. */
  get sinceMs(): number {
    return Math.max(0, this.#redisNowMs - this.#driftMaxMs);
  }

  /** As the last look told them. */
  get schemaVersions(): readonly string[] {
    return this.#schemaVersions;
  }

  /** How Redis takes what is loaded from now on. */
  get storable(): Storable {
    return { notAfterMs: this.#redisNowMs + STORED_WITHIN_MS, sinceMs: this.sinceMs };
  }

  isRecent(nowMs: number): boolean {
    return !hasPassed(LOOK_EVERY_MS, this.#lookedAtMs, nowMs);
  }

  /** Call it when a look is asked for. The order in which that happens counts, which no clock tells if it can be set back. */
  beginLook(): number {
    return ++this.#lastAsked;
  }

  /** The clock was set back: nobody knows how long ago the last look was. */
  forgetLook(): void {
    this.#lookedAtMs = 0;
  }

  /**
   * Takes in the look number `asked`, which was asked for at `askedAtMs` and answered by `answeredAtMs`, and says what it
   * means for what is in memory.
   */
  accept(look: Look, asked: number, askedAtMs: number, answeredAtMs = askedAtMs): Change {
    const changed = this.raise(look.generation);
    // The one that was asked for later was taken in before, and has told all that this one tells.
    if (asked < this.#lastTakenIn) return changed ? 'all' : 'none';
    this.#lastTakenIn = asked;
    const isListWhole = look.isWhole && this.#tellsAllSince(look.redisNowMs, askedAtMs);
    this.#schemaVersions = look.schemaVersions;
    this.#redisNowMs = look.redisNowMs;
    this.#askedAtMs = askedAtMs;
    this.#tookMs = Math.max(0, answeredAtMs - askedAtMs);
    this.#lookedAtMs = askedAtMs;
    if (changed || !isListWhole) return 'all';
    return look.invalidatedIds.length > 0 ? 'ids' : 'none';
  }

  /**
   * Whether the list of a look at `redisNowMs` has forgotten nothing, and nothing was put before where we ask from; and
   * whether our own clock, by which memory's entries expire, was not set back.
   */
  #tellsAllSince(redisNowMs: number, askedAtMs: number): boolean {
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
  skipLook(attemptedAtMs: number | undefined, nowMs: number): void {
    if (attemptedAtMs === undefined || hasPassed(OUTAGE_BELIEVED_MS, attemptedAtMs, nowMs)) return;
    const askAgainAtMs = Math.min(nowMs + REFUSED_LOOK_EVERY_MS, attemptedAtMs + OUTAGE_BELIEVED_MS);
    this.#lookedAtMs = askAgainAtMs - LOOK_EVERY_MS;
  }
}
