/**
 * Which process loads a missing entry: one of all, whatever the load takes. A lease saves work; it is not what keeps values
 * right, so every failure of it means "load".
 *
 * It is put in the entry's own place, so that one command reads the entry or takes the lease, and whoever stores replaces
 * it. Where something is in that place (stale, or a tombstone), the lease is under a name of its own.
 *
 * What must never happen: somebody waits for a process that is gone for longer than a lease lives; more than one process
 * loads a key while its loader lives and a statement's time has not passed; after that, more than one joins it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { LEASE_PREFIX } from '../redis/scripts.ts';
import { ensureExpiry } from '../redis/take-lease.ts';
import type { Entry, LeaseMark } from './entry.ts';

/** A leader that died is followed by another after this time, a poll and a load: within a second. */
export const LEASE_MS = 700;
/** Twice in a lease's life, so that the loss of one renewal is not that of the lease. */
const RENEW_EVERY_MS = 250;
/** No load takes longer. */
const RENEWED_MAX_MS = 5_000;
/** Longer than a statement may take: whatever the leader does, one more may load beside it. */
const ALONE_MS = 2_500;
/** Nobody waits longer; by then something is wrong with the leases. */
const WAIT_MS = 5_000;
const POLLS_APART_MAX_MS = 100;
/** From one poll to the next, the pause grows so. */
const POLLS_APART_GROWTH = 1.5;

/** The right to load, held under `leaseKey`: the entry's own place, where whoever stores replaces it, or beside it. */
export type HeldLease = {
  readonly leaseKey: string;
  readonly token: string;
  /** Ends the renewing. */
  readonly stop: () => void;
};

/** Of who loads because leases cannot be had. */
const WITHOUT_LEASE: HeldLease = { leaseKey: '', token: '', stop() {} };

/** Where an entry is, and how to read what is there. */
export type Place = {
  /** Something that is no answer is in it: the lease is had beside it. */
  readonly isOccupied: boolean;
  /** What is in it; with a token, a lease if it was empty. */
  read(token?: string): Promise<Entry | LeaseMark | undefined>;
};

type Waiting = Place & {
  /** How long a load takes as a rule: who polls sooner polls in vain. */
  readonly firstPollMs: number;
  /** Another process was seen to lead just now. */
  readonly isLed: boolean;
  /** Called once, before the first pause. */
  onWait(): Promise<void>;
};

/** Undefined while another process leads. */
export type Acquired = { readonly found: Entry } | { readonly held: HeldLease } | undefined;

/** As no other load has one: what it stores is right only while its own lease is there. */
export function newToken(): string {
  return LEASE_PREFIX + crypto.randomUUID();
}

export class Lease {
  readonly #redis: GuardedRedis;

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /** Waits until this process leads for `entryKey`, or finds what another leader stored. */
  async acquireOrWait(entryKey: string, waiting: Waiting): Promise<Exclude<Acquired, undefined>> {
    const token = newToken();
    // By the monotonic clock: the wall clock may be set back by an hour meanwhile.
    const beganAtMs = performance.now();
    let apartMs = waiting.firstPollMs;
    for (let polls = 0, waitedMs = 0; waitedMs < WAIT_MS; polls++, waitedMs = performance.now() - beganAtMs) {
      const acquired =
        polls === 0 && waiting.isLed
          ? undefined
          : await this.tryAcquire(entryKey, waiting, token, waitedMs >= ALONE_MS);
      if (acquired !== undefined) return acquired;
      if (polls === 0) await waiting.onWait();
      await sleep(Math.ceil(apartMs));
      apartMs = Math.min(apartMs * POLLS_APART_GROWTH, POLLS_APART_MAX_MS);
    }
    await this.#ensureExpiry(entryKey);
    return { held: WITHOUT_LEASE };
  }

  /** As the leader, or, when `mayJoin` because one should have ended long ago, beside it: each as one of all. */
  async tryAcquire(
    entryKey: string,
    place: Place,
    token: string = newToken(),
    mayJoin = false,
  ): Promise<Acquired> {
    const acquired = place.isOccupied
      ? await this.#findOrAcquireBeside(entryKey, place, token)
      : await this.#findOrAcquireInPlace(entryKey, place, token);
    return acquired === undefined && mayJoin ? this.#join(entryKey, token) : acquired;
  }

  /** For an entry whose place is not empty. Undefined while another process leads. */
  acquireBeside(entryKey: string, token: string = newToken()): Promise<HeldLease | undefined> {
    return this.#take(keys.lease(entryKey), token);
  }

  holdInPlace({ entryKey, token }: LeaseMark): HeldLease {
    return this.#keep(entryKey, token);
  }

  /** Should it fail: the lease ends by itself. False when something else was in its place. */
  async release(held: HeldLease): Promise<boolean> {
    held.stop();
    return held === WITHOUT_LEASE || this.#giveBack(held.leaseKey, held.token);
  }

  /** Gives up a lease that was found to be ours and is not needed; it ends by itself should this fail. */
  async giveBack({ isOurs, entryKey, token }: LeaseMark): Promise<void> {
    if (isOurs) await this.#giveBack(entryKey, token);
  }

  async #findOrAcquireInPlace(entryKey: string, place: Place, token: string): Promise<Acquired> {
    const found = await place.read(token);
    if (found?.kind === 'lease') return found.isOurs ? { held: this.holdInPlace(found) } : undefined;
    if (isAnswer(found)) return { found };
    return this.#findOrAcquireBeside(entryKey, place, token);
  }

  async #findOrAcquireBeside(entryKey: string, { read }: Place, token: string): Promise<Acquired> {
    // As a rule in this order: a leader that stored and released before we lead is seen by the read.
    const [held, found] = await Promise.all([this.acquireBeside(entryKey, token), read()]);
    if (!isAnswer(found) && found?.kind !== 'lease') return held && { held };
    if (held !== undefined) await this.release(held);
    return isAnswer(found) ? { found } : undefined;
  }

  async #join(entryKey: string, token: string): Promise<Acquired> {
    const beside = await this.#take(keys.leaseBeside(entryKey), token);
    if (beside === undefined) return undefined;
    await this.#ensureExpiry(entryKey);
    return { held: beside };
  }

  /** Renews what was taken while its load runs: a slow database is the last to be asked twice. A frozen process renews nothing. */
  #keep(leaseKey: string, token: string): HeldLease {
    const endsAtMs = performance.now() + RENEWED_MAX_MS;
    const renewing = setInterval(() => {
      if (performance.now() < endsAtMs) void this.#renew(leaseKey, token);
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

  /** Hardly anybody leads for so long: it may be no lease of ours, and everybody would wait for it for ever. */
  async #ensureExpiry(entryKey: string): Promise<void> {
    const expiries = [entryKey, keys.lease(entryKey)].map((key) => ensureExpiry(this.#redis, key, LEASE_MS));
    await Promise.all(expiries).catch(reportUnlessUnavailable);
  }

  async #giveBack(leaseKey: string, token: string): Promise<boolean> {
    const released = this.#redis.run((redis) => redis.releaseIfOwner(leaseKey, token));
    return (await released.catch(reportUnlessUnavailable)) !== 0;
  }

  async #renew(leaseKey: string, token: string): Promise<void> {
    const renewed = this.#redis.run((redis) => redis.renewIfOwner(leaseKey, token, LEASE_MS));
    await renewed.catch(reportUnlessUnavailable);
  }
}

function isAnswer(found: Entry | LeaseMark | undefined): found is Entry {
  if (found === undefined || found.kind === 'lease' || found.kind === 'tombstone') return false;
  return Date.now() < found.freshUntilMs;
}

/** A full Redis refuses leases, which is no reason to refuse reads. */
function reportUnlessUnavailable(error: unknown): void {
  if (!(error instanceof RedisUnavailableError)) log.error('Redis refused a lease.', { error });
}
