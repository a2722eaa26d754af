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
import { giveEnd } from '../redis/take-lease.ts';
import type { Entry, LeaseMark } from './entry.ts';

/** A leader that died is followed by another after this time, a look and a load: within a second. */
export const LEASE_MS = 700;
/** Twice in a lease's life, so that the loss of one renewal is not that of the lease. */
const RENEW_EVERY_MS = 250;
/** No load takes longer. */
const RENEWED_MAX_MS = 5_000;
/** Longer than a statement may take: whatever the leader does, one more may load beside it. */
const ALONE_MS = 2_500;
/** Nobody waits longer; by then something is wrong with the leases. */
const WAIT_MS = 5_000;
const LOOKS_APART_MAX_MS = 100;
/** From one look to the next, the pause grows so. */
const LOOKS_APART_GROWTH = 1.5;

/** The right to load, held under `leaseKey`: the entry's own place, where whoever stores replaces it, or beside it. */
export type Lead = {
  readonly leaseKey: string;
  readonly token: string;
  /** Ends the renewing. */
  readonly stop: () => void;
};

/** Of who loads because leases cannot be had. */
const WITHOUT_LEASE: Lead = { leaseKey: '', token: '', stop() {} };

/** Where an entry is, and how to look there. */
export type Place = {
  /** Something that is no answer is in it: the lease is had beside it. */
  readonly isOccupied: boolean;
  /** What is in it; with a token, a lease if it was empty. */
  look(token?: string): Promise<Entry | LeaseMark | undefined>;
};

type Waiting = Place & {
  /** How long a load takes as a rule: who looks again sooner looks in vain. */
  readonly firstLookMs: number;
  /** Another process was seen to lead just now. */
  readonly isLed: boolean;
  /** Called once, before the first pause. */
  onWait(): Promise<void>;
};

/** Undefined while another process leads. */
export type Turn = { readonly found: Entry } | { readonly lead: Lead } | undefined;

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
  async leadOrFind(entryKey: string, waiting: Waiting): Promise<Exclude<Turn, undefined>> {
    const token = newToken();
    // By the monotonic clock: the wall clock may be set back by an hour meanwhile.
    const beganAtMs = performance.now();
    let apartMs = waiting.firstLookMs;
    for (let looks = 0, waitedMs = 0; waitedMs < WAIT_MS; looks++, waitedMs = performance.now() - beganAtMs) {
      const turn =
        looks === 0 && waiting.isLed
          ? undefined
          : await this.askForTurn(entryKey, waiting, token, waitedMs >= ALONE_MS);
      if (turn !== undefined) return turn;
      if (looks === 0) await waiting.onWait();
      await sleep(Math.ceil(apartMs));
      apartMs = Math.min(apartMs * LOOKS_APART_GROWTH, LOOKS_APART_MAX_MS);
    }
    await this.#giveEnd(entryKey);
    return { lead: WITHOUT_LEASE };
  }

  /** As the leader, or, when `mayJoin` because one should have ended long ago, beside it: each as one of all. */
  async askForTurn(
    entryKey: string,
    place: Place,
    token: string = newToken(),
    mayJoin = false,
  ): Promise<Turn> {
    const turn = place.isOccupied
      ? await this.#lookBeside(entryKey, place, token)
      : await this.#lookInPlace(entryKey, place, token);
    return turn === undefined && mayJoin ? this.#join(entryKey, token) : turn;
  }

  /** For an entry whose place is not empty. Undefined while another process leads. */
  tryLead(entryKey: string, token: string = newToken()): Promise<Lead | undefined> {
    return this.#take(keys.lease(entryKey), token);
  }

  keepInPlace({ entryKey, token }: LeaseMark): Lead {
    return this.#keep(entryKey, token);
  }

  /** Should it fail: the lease ends by itself. False when something else was in its place. */
  async release(lead: Lead): Promise<boolean> {
    lead.stop();
    return lead === WITHOUT_LEASE || this.#giveBack(lead.leaseKey, lead.token);
  }

  /** The same for one that was found to be ours, and is not needed. */
  async giveBack({ isOurs, entryKey, token }: LeaseMark): Promise<void> {
    if (isOurs) await this.#giveBack(entryKey, token);
  }

  async #lookInPlace(entryKey: string, place: Place, token: string): Promise<Turn> {
    const found = await place.look(token);
    if (found?.kind === 'lease') return found.isOurs ? { lead: this.keepInPlace(found) } : undefined;
    if (isAnswer(found)) return { found };
    return this.#lookBeside(entryKey, place, token);
  }

  async #lookBeside(entryKey: string, { look }: Place, token: string): Promise<Turn> {
    // As a rule in this order: a leader that stored and released before we lead is seen by the look.
    const [lead, found] = await Promise.all([this.tryLead(entryKey, token), look()]);
    if (!isAnswer(found) && found?.kind !== 'lease') return lead && { lead };
    if (lead !== undefined) await this.release(lead);
    return isAnswer(found) ? { found } : undefined;
  }

  async #join(entryKey: string, token: string): Promise<Turn> {
    const beside = await this.#take(keys.leaseBeside(entryKey), token);
    if (beside === undefined) return undefined;
    await this.#giveEnd(entryKey);
    return { lead: beside };
  }

  /** Renews what was taken while its load runs: a slow database is the last to be asked twice. A frozen process renews nothing. */
  #keep(leaseKey: string, token: string): Lead {
    const endsAtMs = performance.now() + RENEWED_MAX_MS;
    const renewing = setInterval(() => {
      if (performance.now() < endsAtMs) void this.#renew(leaseKey, token);
      else clearInterval(renewing);
    }, RENEW_EVERY_MS).unref();
    return { leaseKey, token, stop: () => clearInterval(renewing) };
  }

  async #take(leaseKey: string, token: string): Promise<Lead | undefined> {
    try {
      const answer = await this.#redis.run((redis) => redis.set(leaseKey, token, 'PX', LEASE_MS, 'NX'));
      return answer === 'OK' ? this.#keep(leaseKey, token) : undefined;
    } catch (error) {
      reportUnlessUnavailable(error);
      return WITHOUT_LEASE;
    }
  }

  /** Hardly anybody leads for so long: it may be no lease of ours, and everybody would wait for it for ever. */
  async #giveEnd(entryKey: string): Promise<void> {
    const giveEnds = [entryKey, keys.lease(entryKey)].map((key) => giveEnd(this.#redis, key, LEASE_MS));
    await Promise.all(giveEnds).catch(reportUnlessUnavailable);
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
