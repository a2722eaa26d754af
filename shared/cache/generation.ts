/** Which entries count: the generation that the keys carry, checked often enough that a clear elsewhere is noticed within a second. */
import { hasPassed } from '../clock.ts';
import { WallClock } from './wall-clock.ts';

/**
 * Promise: one second after a clear or an invalidation was answered, no container answers what was cached before. A
 * container checks at most once in this time, and before it answers from memory when the last check is longer ago, also
 * because it was frozen. Half of the second is left for the check and the answer.
 */
const CHECK_EVERY_MS = 500;

/**
 * An outage is believed for so long after an attempt in vain began. A container that was idle or frozen for longer knows
 * nothing of Redis, and may have missed clears.
 */
const OUTAGE_BELIEVED_MS = 1_000;

/** A check that was refused cost nothing, and by asking again soon Redis is probed as soon as may be. */
const REFUSED_CHECK_EVERY_MS = 100;

/**
 * How far Redis' clock may fall behind ours between two checks, beyond the time that the first of them was on its way: that
 * one may have been answered at its end, and the second at once. More means that it was set back, or that another server
 * answers now, and some ids would never be reported.
 */
const CLOCK_DRIFT_MS = 150;

/** How much more time may have passed for Redis than here: an answer's way, and more than any command takes. */
const CLOCK_AHEAD_MS = 1_000;

/** How long Redis reports invalidated ids, and refuses what was read before: a container that checks later empties its memory. */
export const INVALIDATIONS_KEPT_MS = 60_000;

/** A load is stored at most so long after a check that came before it: half of what a tombstone lives. */
const STORED_WITHIN_MS = INVALIDATIONS_KEPT_MS / 2;

/** The answer of Redis to a generation check. */
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

/** The times by which Redis decides whether it takes a load that begins now. */
export type Storable = {
  /** Redis takes it until then, by its own clock. */
  readonly notAfterMs: number;
  /** An invalidation since then may have overtaken it, by Redis' clock. */
  readonly sinceMs: number;
};

/** What a check means for what this container remembers. */
export type Change = 'none' | 'ids' | 'all';

/** What remembers something by key: entries, or loads under way. */
export type Forgetful = { forget(key: string): void; forgetAll(): void };

/** A check on its way: its number, when it was asked for, and how often the clock had been set back by then. */
export type PendingCheck = {
  readonly number: number;
  readonly askedAtMs: number;
  readonly setBacks: number;
};

/** Taken before a load begins; says for what its result may be stored when it ends. */
export type LoadTicket = {
  readonly generation: string;
  readonly drops: number;
  readonly storable: Storable;
  /** By the wall clock: a value is as old as its load, which may have been frozen. */
  readonly beganAtMs: number;
};

export class Generation {
  readonly #forgetful: readonly Forgetful[];
  /** Entries in memory expire by it: none is believed after it was set back. */
  readonly #clock = new WallClock(() => {
    this.#setBacks++;
    this.#checkedAtMs = 0; // nobody knows how long ago that was
    this.#forgetAll();
  });
  /** How often the clock was set back. */
  #setBacks = 0;
  /** Raised whenever something that is remembered turned out to be old: what was read before must not be remembered. */
  #drops = 0;
  /** Nothing is stored under 0: a container that Redis has not answered yet finds nothing and stores nothing. */
  #current = '0';
  #checkedAtMs = 0;
  #redisNowMs = 0;
  /** When the check that was taken in last was asked for, and how long its answer took. */
  #askedAtMs = 0;
  #tookMs = 0;
  #lastAsked = 0;
  #lastTakenIn = 0;
  #schemaVersions: readonly string[] = [];

  /** `forgetful` forget what turns out to be old. */
  constructor(forgetful: readonly Forgetful[] = []) {
    this.#forgetful = forgetful;
  }

  /** The wall clock, in ms; everything is forgotten when it turns out to have been set back. */
  nowMs(): number {
    return this.#clock.nowMs();
  }

  get current(): string {
    return this.#current;
  }

  /** Redis has reported one. */
  get isKnown(): boolean {
    return this.#current !== '0';
  }

  /** The next check must report what was invalidated since then, by Redis' clock. */
  get sinceMs(): number {
    return Math.max(0, this.#redisNowMs - this.#driftMaxMs);
  }

  /** All schema versions of which Redis may have entries, as the last check reported them. */
  get schemaVersions(): readonly string[] {
    return this.#schemaVersions;
  }

  /** The times by which Redis decides whether it takes a load that begins now. */
  get storable(): Storable {
    return { notAfterMs: this.#redisNowMs + STORED_WITHIN_MS, sinceMs: this.sinceMs };
  }

  /** Whether the last check was made lately, so that what is remembered may be answered. */
  isRecent(nowMs: number): boolean {
    return !hasPassed(CHECK_EVERY_MS, this.#checkedAtMs, nowMs);
  }

  /** Call it before a load; the ticket says later whether its result may still be remembered (`isUndisturbed`). */
  beginLoad(): LoadTicket {
    const { current: generation, storable } = this;
    return { generation, storable, drops: this.#drops, beganAtMs: Date.now() };
  }

  /** How often something was forgotten, for `isUndisturbed`. */
  get drops(): number {
    return this.#drops;
  }

  /**
   * Whether no clear and no invalidation was noticed since: who asked before it may have what was read, but it may not be
   * remembered, because this container would not hear of it again.
   */
  isUndisturbed({ drops }: { readonly drops: number }): boolean {
    return drops === this.#drops;
  }

  /** Call it when a check is sent. What counts is the order of the calls, because a clock can be set back. */
  beginCheck(askedAtMs = this.nowMs()): PendingCheck {
    return { number: ++this.#lastAsked, askedAtMs, setBacks: this.#setBacks };
  }

  /** Takes in a check that was answered, and forgets what turned out to be old. */
  apply(check: GenerationCheck, pending: PendingCheck, answeredAtMs = this.nowMs()): Change {
    const change = this.#takeIn(check, pending, answeredAtMs);
    // The interleaving that this closes: 1. a check is asked for; 2. the clock is set back, which is noticed, and the last
    // check is forgotten; 3. this check is answered: by the clock as it is now it would be asked for in the future, and count
    // for longer than it may once that has come.
    if (pending.setBacks !== this.#setBacks) this.#checkedAtMs = 0;
    if (change === 'all') this.#forgetAll();
    if (change === 'ids') for (const key of check.invalidatedIds) this.forget(key);
    return change;
  }

  /** Goes on with `generation`, unless a higher one is known: answers to two questions may come in either order. */
  raise(generation: string): void {
    if (this.#raise(generation)) this.#forgetAll();
  }

  /** What is remembered of `key` is old. */
  forget(key: string): void {
    this.#drops++;
    for (const each of this.#forgetful) each.forget(key);
  }

  #forgetAll(): void {
    this.#drops++;
    for (const each of this.#forgetful) each.forgetAll();
  }

  #takeIn(check: GenerationCheck, { number, askedAtMs }: PendingCheck, answeredAtMs: number): Change {
    const changed = this.#raise(check.generation);
    // The one that was asked for later was taken in before, and reported all that this one reports.
    if (number < this.#lastTakenIn) return changed ? 'all' : 'none';
    this.#lastTakenIn = number;
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

  #raise(generation: string): boolean {
    if (Number(generation) <= Number(this.#current)) return false;
    this.#current = generation;
    return true;
  }

  /**
   * Redis cannot be asked: memory goes on for a moment, if the last attempt, which began at `attemptedAtMs`, was made
   * lately. If it was not, nothing in memory counts until Redis has been asked again.
   */
  skipCheck(attemptedAtMs: number | undefined, nowMs = this.nowMs()): void {
    if (attemptedAtMs === undefined || hasPassed(OUTAGE_BELIEVED_MS, attemptedAtMs, nowMs)) return;
    const askAgainAtMs = Math.min(nowMs + REFUSED_CHECK_EVERY_MS, attemptedAtMs + OUTAGE_BELIEVED_MS);
    this.#checkedAtMs = askAgainAtMs - CHECK_EVERY_MS;
  }
}
