/** Which process loads a missing entry. A lease saves work; it is not what keeps values right, so every failure of it means "load". */
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { giveEnd } from '../redis/take-lease.ts';

/** A leader that died is followed by another after this time, a look and a load: within a second. */
const LEASE_MS = 700;
/** How long the others wait for what the leader loads, looking in between at growing distances, before they load themselves. */
const WAIT_MS = 1_200;
const FIRST_LOOK_MS = 10;
const LOOKS_APART_MAX_MS = 100;

/** Ends a lead; does nothing for who loads without a lease. */
export type Release = () => Promise<void>;

export const nothingToRelease: Release = async () => {};

export class Lease {
  readonly #redis: GuardedRedis;

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /**
   * Waits until this process leads for `entryKey`, or `lookAgain` finds what another leader stored. Who waited long
   * enough, and who cannot ask Redis, loads without a lease. `onWait` is called once, before the first pause.
   */
  async leadOrFind<Found>(
    entryKey: string,
    lookAgain: () => Promise<Found | undefined>,
    onWait: () => Promise<void>,
  ): Promise<{ found: Found } | { release: Release }> {
    const token = crypto.randomUUID();
    // By the monotonic clock: the wall clock may be set back by an hour meanwhile.
    const giveUpAtMs = performance.now() + WAIT_MS;
    let apartMs = FIRST_LOOK_MS;
    while (performance.now() < giveUpAtMs) {
      // As a rule in this order: a leader that stored and released before we lead is seen by the look.
      const [release, found] = await Promise.all([this.tryLead(entryKey, token), lookAgain()]);
      if (found !== undefined) {
        await release?.();
        return { found };
      }
      if (release !== undefined) return { release };
      if (apartMs === FIRST_LOOK_MS) await onWait();
      await sleep(apartMs);
      apartMs = Math.min(apartMs * 2, LOOKS_APART_MAX_MS);
    }
    await this.#giveEnd(entryKey);
    return { release: nothingToRelease };
  }

  /** Nobody leads for so long: it may be no lease of ours, and everybody would wait for it for ever. */
  async #giveEnd(entryKey: string): Promise<void> {
    await giveEnd(this.#redis, keys.lease(entryKey), LEASE_MS).catch(reportUnlessUnavailable);
  }

  /** Undefined while another process leads for `entryKey`. */
  async tryLead(entryKey: string, token: string = crypto.randomUUID()): Promise<Release | undefined> {
    const leaseKey = keys.lease(entryKey);
    try {
      const answer = await this.#redis.run((redis) => redis.set(leaseKey, token, 'PX', LEASE_MS, 'NX'));
      return answer === 'OK' ? () => this.#release(leaseKey, token) : undefined;
    } catch (error) {
      reportUnlessUnavailable(error);
      return nothingToRelease;
    }
  }

  async #release(leaseKey: string, token: string): Promise<void> {
    try {
      await this.#redis.run((redis) => redis.releaseIfOwner(leaseKey, token));
    } catch (error) {
      // It ends by itself.
      reportUnlessUnavailable(error);
    }
  }
}

/** A full Redis refuses leases, which is no reason to refuse reads. */
function reportUnlessUnavailable(error: unknown): void {
  if (!(error instanceof RedisUnavailableError)) log.error('Redis refused a lease.', { error });
}
