/**
 * Which of all who miss an entry loads it: in this container the first one, which the others join (single-flight), and of
 * all containers the one that has its lease. A lease saves work; it is not what keeps values right, so every failure of it
 * means "load".
 *
 * It is put in the entry's own place, so that one command reads the entry or takes the lease, and storing the value replaces
 * it. Where something is in that place (stale, or a tombstone), the lease is under a name of its own.
 *
 * What must never happen: somebody waits for a process that is gone for longer than a lease lives; more than one process
 * loads a key while its loader lives and a statement's time has not passed; after that, more than one joins it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { hasPassed } from '../clock.ts';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { ensureExpiry, releaseLease, renewLease } from '../redis/lease.ts';
import { type Entry, LEASE_PREFIX, type LeaseMark } from './entry.ts';

export const leaseKeys = {
  /** Held by the process that loads an entry: in the entry's slot, so that storing and releasing arrive in their order. */
  lease: (entryKey: string) => `prewarm:lease:{${entryKey}}`,
  /** Held by a process that loads it beside a holder that should have ended long ago. */
  leaseBeside: (entryKey: string) => `prewarm:lease:{${entryKey}}:beside`,
} as const;

/** A holder that died is followed by another after this time, a poll and a load: within a second. */
export const LEASE_MS = 700;
/** A lease is renewed twice in its life, so that it survives the loss of one renewal. */
const RENEW_EVERY_MS = 250;
/** A lease is renewed for so long at most: no load takes longer. */
const RENEWED_MAX_MS = 5_000;
/** After so long, which is more than a statement may take, a second process may load beside the holder. */
const ALONE_MS = 2_500;
/** A caller waits so long at most, and then loads by itself: something is wrong with the leases. */
const WAIT_MS = 5_000;
const POLLS_APART_MAX_MS = 100;
/** By how much the pause grows from one poll to the next. */
const POLLS_APART_GROWTH = 1.5;

type Flight<Result> = { readonly result: Promise<Result>; readonly beganAtMs: number };

/** One piece of work per key at a time in this process: callers that come meanwhile share its result, or its failure. */
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

/** The right to load, held under `leaseKey`: the entry's own place, where storing the value replaces it, or beside it. */
export type HeldLease = {
  readonly leaseKey: string;
  readonly token: string;
  /** Ends the renewing. */
  readonly stop: () => void;
};

/** For a load while leases cannot be had. */
const WITHOUT_LEASE: HeldLease = { leaseKey: '', token: '', stop() {} };

/** The entries in Redis, as far as a lease must know them. */
type Entries = {
  /** The key in Redis under which the entry of `key` is. */
  entryKey(key: string): string;
  /** What is there; with a token, a lease if there was nothing. */
  askAgain(key: string, token?: string): Promise<Entry | LeaseMark | undefined>;
};

type Waiting = {
  /** Something that is no answer is in the entry's place: the lease is had beside it. */
  readonly isOccupied: boolean;
  /** How long a load takes as a rule: a poll before that is in vain. */
  readonly firstPollMs: number;
  /** Another process was seen to hold the lease just now. */
  readonly isHeld: boolean;
  /** Called once, before the first pause. */
  onWait(): Promise<void>;
};

/** Undefined while another process holds the lease. */
export type Acquired = { readonly found: Entry } | { readonly held: HeldLease } | undefined;

/** A key, and where its entry was when somebody began to ask for it. */
type Place = { readonly key: string; readonly entryKey: string; readonly isOccupied: boolean };

/** A token that no other load has: a load stores over its own lease only. */
export function newToken(): string {
  return LEASE_PREFIX + crypto.randomUUID();
}

export class Lease {
  readonly #redis: GuardedRedis;
  readonly #entries: Entries;

  constructor(redis: GuardedRedis, entries: Entries) {
    this.#redis = redis;
    this.#entries = entries;
  }

  /** Waits until this process holds the lease of `key`, or finds what another holder stored. */
  async acquireOrWait(key: string, waiting: Waiting): Promise<Exclude<Acquired, undefined>> {
    const place = this.#placeOf(key, waiting.isOccupied);
    const token = newToken();
    // By the monotonic clock: the wall clock may be set back by an hour meanwhile.
    const beganMonotonicMs = performance.now();
    let apartMs = waiting.firstPollMs;
    for (
      let polls = 0, waitedMs = 0;
      waitedMs < WAIT_MS;
      polls++, waitedMs = performance.now() - beganMonotonicMs
    ) {
      const acquired =
        polls === 0 && waiting.isHeld ? undefined : await this.#poll(place, token, waitedMs >= ALONE_MS);
      if (acquired !== undefined) return acquired;
      if (polls === 0) await waiting.onWait();
      await sleep(Math.ceil(apartMs));
      apartMs = Math.min(apartMs * POLLS_APART_GROWTH, POLLS_APART_MAX_MS);
    }
    await this.#ensureExpiry(place.entryKey);
    return { held: WITHOUT_LEASE };
  }

  /** Finds an answer or takes the lease, once, without waiting. */
  tryAcquire(key: string, isOccupied: boolean): Promise<Acquired> {
    return this.#findOrAcquire(this.#placeOf(key, isOccupied), newToken());
  }

  /** For an entry whose place is not empty. Undefined while another process holds it. */
  acquireBeside(key: string): Promise<HeldLease | undefined> {
    return this.#take(leaseKeys.lease(this.#entries.entryKey(key)), newToken());
  }

  holdInPlace({ entryKey, token }: LeaseMark): HeldLease {
    return this.#keep(entryKey, token);
  }

  /** Gives the lease back; false when something else was in its place. If this fails, the lease ends by itself. */
  async release(held: HeldLease): Promise<boolean> {
    held.stop();
    return held === WITHOUT_LEASE || this.#giveBack(held.leaseKey, held.token);
  }

  /** Gives up a lease that was found to be ours and is not needed; it ends by itself should this fail. */
  async giveBack({ isOurs, entryKey, token }: LeaseMark): Promise<void> {
    if (isOurs) await this.#giveBack(entryKey, token);
  }

  #placeOf(key: string, isOccupied: boolean): Place {
    return { key, entryKey: this.#entries.entryKey(key), isOccupied };
  }

  /** Finds an answer, or takes the lease, or, when `mayJoin` because its holder should have ended long ago, the one beside it. */
  async #poll(place: Place, token: string, mayJoin: boolean): Promise<Acquired> {
    const acquired = await this.#findOrAcquire(place, token);
    return acquired === undefined && mayJoin ? this.#join(place.entryKey, token) : acquired;
  }

  async #findOrAcquire(place: Place, token: string): Promise<Acquired> {
    if (place.isOccupied) return this.#findOrAcquireBeside(place, token);
    const found = await this.#entries.askAgain(place.key, token);
    if (found?.kind === 'lease') return found.isOurs ? { held: this.holdInPlace(found) } : undefined;
    if (isAnswer(found)) return { found };
    return this.#findOrAcquireBeside(place, token);
  }

  async #findOrAcquireBeside({ key, entryKey }: Place, token: string): Promise<Acquired> {
    // As a rule in this order: a holder that stored and released before we hold is seen by the read.
    const [held, found] = await Promise.all([
      this.#take(leaseKeys.lease(entryKey), token),
      this.#entries.askAgain(key),
    ]);
    if (!isAnswer(found) && found?.kind !== 'lease') return held && { held };
    if (held !== undefined) await this.release(held);
    return isAnswer(found) ? { found } : undefined;
  }

  async #join(entryKey: string, token: string): Promise<Acquired> {
    const beside = await this.#take(leaseKeys.leaseBeside(entryKey), token);
    if (beside === undefined) return undefined;
    await this.#ensureExpiry(entryKey);
    return { held: beside };
  }

  /** Renews what was taken while its load runs: a slow database is the last to be asked twice. A frozen process renews nothing. */
  #keep(leaseKey: string, token: string): HeldLease {
    const endsMonotonicMs = performance.now() + RENEWED_MAX_MS;
    const renewing = setInterval(() => {
      if (performance.now() < endsMonotonicMs) void this.#renew(leaseKey, token);
      else clearInterval(renewing);
    }, RENEW_EVERY_MS).unref();
    return { leaseKey, token, stop: () => clearInterval(renewing) };
  }

  async #take(leaseKey: string, token: string): Promise<HeldLease | undefined> {
    try {
      const answer = await this.#redis.run((redis) => redis.set(leaseKey, token, 'PX', LEASE_MS, 'NX'));
      return answer === 'OK' ? this.#keep(leaseKey, token) : undefined;
    } catch (error) {
      reportUnlessUnavailable(error);
      return WITHOUT_LEASE;
    }
  }

  /** Hardly anybody holds one for so long: it may be no lease of ours, and everybody would wait for it for ever. */
  async #ensureExpiry(entryKey: string): Promise<void> {
    const expiries = [entryKey, leaseKeys.lease(entryKey)].map((key) =>
      ensureExpiry(this.#redis, key, LEASE_MS),
    );
    await Promise.all(expiries).catch(reportUnlessUnavailable);
  }

  async #giveBack(leaseKey: string, token: string): Promise<boolean> {
    const released = releaseLease(this.#redis, leaseKey, token).catch(reportUnlessUnavailable);
    return (await released) !== false;
  }

  async #renew(leaseKey: string, token: string): Promise<void> {
    await renewLease(this.#redis, leaseKey, token, LEASE_MS).catch(reportUnlessUnavailable);
  }
}

function isAnswer(found: Entry | LeaseMark | undefined): found is Entry {
  if (found === undefined || found.kind === 'lease' || found.kind === 'tombstone') return false;
  return Date.now() < found.freshUntilMs;
}

/** A full Redis refuses leases, which is no reason to refuse reads. */
function reportUnlessUnavailable(error: unknown): void {
  if (!(error instanceof RedisUnavailableError))
    log.error('cache.lease_refused', 'Redis refused a lease.', { error });
}
