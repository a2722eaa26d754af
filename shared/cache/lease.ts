/**
 * Which process loads a missing entry: one of all, whatever the load takes. A lease saves work; it is not what keeps values
 * right, so every failure of it means "load".
 *
 * What must never happen: somebody waits for a process that is gone for longer than a lease lives; more than one process
 * loads a key while its loader lives and a statement's time has not passed; after that, more than one joins it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { giveEnd } from '../redis/take-lease.ts';

/** A leader that died is followed by another after this time, a look and a load: within a second. */
const LEASE_MS = 700;
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

/** Ends a lead; does nothing for who loads without a lease. */
export type Release = () => Promise<void>;

export const nothingToRelease: Release = async () => {};

type Waiting = {
  /** How long a load takes as a rule: who looks again sooner looks in vain. */
  readonly firstLookMs: number;
  /** Called once, before the first pause. */
  onWait(): Promise<void>;
};

export class Lease {
  readonly #redis: GuardedRedis;

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /** Waits until this process leads for `entryKey`, or `lookAgain` finds what another leader stored. */
  async leadOrFind<Found>(
    entryKey: string,
    lookAgain: () => Promise<Found | undefined>,
    { firstLookMs, onWait }: Waiting,
  ): Promise<{ found: Found } | { release: Release }> {
    const token = crypto.randomUUID();
    // By the monotonic clock: the wall clock may be set back by an hour meanwhile.
    const beganAtMs = performance.now();
    let apartMs = firstLookMs;
    for (let looks = 0, waitedMs = 0; waitedMs < WAIT_MS; looks++, waitedMs = performance.now() - beganAtMs) {
      // As a rule in this order: a leader that stored and released before we lead is seen by the look.
      const [release, found] = await Promise.all([this.#tryToLoad(entryKey, token, waitedMs), lookAgain()]);
      if (found !== undefined) {
        await release?.();
        return { found };
      }
      if (release !== undefined) return { release };
      if (looks === 0) await onWait();
      await sleep(Math.ceil(apartMs));
      apartMs = Math.min(apartMs * LOOKS_APART_GROWTH, LOOKS_APART_MAX_MS);
    }
    await this.#giveEnd(entryKey);
    return { release: nothingToRelease };
  }

  /** Undefined while another process leads for `entryKey`. */
  tryLead(entryKey: string, token: string = crypto.randomUUID()): Promise<Release | undefined> {
    return this.#take(keys.lease(entryKey), token);
  }

  /** As the leader, or, when one should have ended long ago, beside it: each as one of all. */
  async #tryToLoad(entryKey: string, token: string, waitedMs: number): Promise<Release | undefined> {
    const release = await this.tryLead(entryKey, token);
    if (release !== undefined || waitedMs < ALONE_MS) return release;
    const beside = await this.#take(keys.leaseBeside(entryKey), token);
    if (beside !== undefined) await this.#giveEnd(entryKey);
    return beside;
  }

  async #take(leaseKey: string, token: string): Promise<Release | undefined> {
    try {
      const answer = await this.#redis.run((redis) => redis.set(leaseKey, token, 'PX', LEASE_MS, 'NX'));
      return answer === 'OK' ? this.#keep(leaseKey, token) : undefined;
    } catch (error) {
      reportUnlessUnavailable(error);
      return nothingToRelease;
    }
  }

  /** Renews it while its load runs: a slow database is the last to be asked twice. A frozen process renews nothing. */
  #keep(leaseKey: string, token: string): Release {
    const endsAtMs = performance.now() + RENEWED_MAX_MS;
    const renewing = setInterval(() => {
      if (performance.now() < endsAtMs) void this.#renew(leaseKey, token);
      else clearInterval(renewing);
    }, RENEW_EVERY_MS).unref();
    return () => {
      clearInterval(renewing);
      return this.#release(leaseKey, token);
    };
  }

  /** Hardly anybody leads for so long: it may be no lease of ours, and everybody would wait for it for ever. */
  async #giveEnd(entryKey: string): Promise<void> {
    await giveEnd(this.#redis, keys.lease(entryKey), LEASE_MS).catch(reportUnlessUnavailable);
  }

  async #renew(leaseKey: string, token: string): Promise<void> {
    const renewed = this.#redis.run((redis) => redis.renewIfOwner(leaseKey, token, LEASE_MS));
    await renewed.catch(reportUnlessUnavailable);
  }

  /** Should it fail: the lease ends by itself. */
  async #release(leaseKey: string, token: string): Promise<void> {
    const released = this.#redis.run((redis) => redis.releaseIfOwner(leaseKey, token));
    await released.catch(reportUnlessUnavailable);
  }
}

/** A full Redis refuses leases, which is no reason to refuse reads. */
function reportUnlessUnavailable(error: unknown): void {
  if (!(error instanceof RedisUnavailableError)) log.error('Redis refused a lease.', { error });
}
