/** Which process loads a missing entry. A lease saves work; it is not what keeps values right, so every failure of it means "load". */
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisUnavailableError } from '../errors.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';

/** A leader that died is followed by another after this time. */
const LEASE_MS = 1_000;
/** How long the others wait for what the leader loads, looking in between at growing distances, before they load themselves. */
const WAIT_MS = 1_200;
const FIRST_LOOK_MS = 10;
const LOOKS_APART_MAX_MS = 100;

export class Lease {
  readonly #redis: GuardedRedis;

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /**
   * Runs `load` as the leader for `entryKey`, or waits until `lookAgain` finds what the leader stored. A leader that
   * disappears is followed by one of those who wait; who waited long enough loads without a lease.
   */
  async leadOrWait<Result>(
    entryKey: string,
    load: () => Promise<Result>,
    lookAgain: () => Promise<Result | undefined>,
  ): Promise<Result> {
    const leaseKey = keys.lease(entryKey);
    const token = crypto.randomUUID();
    const giveUpAtMs = Date.now() + WAIT_MS;
    for (
      let apartMs = FIRST_LOOK_MS;
      Date.now() < giveUpAtMs;
      apartMs = Math.min(apartMs * 2, LOOKS_APART_MAX_MS)
    ) {
      const won = await this.#tryAcquire(leaseKey, token);
      if (won === 'unknown') return load();
      // The leader before may have stored its value and gone since we looked last.
      if (won === 'won') return this.#lead(leaseKey, token, async () => (await lookAgain()) ?? load());
      await sleep(apartMs);
      const found = await lookAgain();
      if (found !== undefined) return found;
    }
    return load();
  }

  /** Runs `load` as the leader for `entryKey`, or answers `instead` at once while another one leads. */
  async leadOrYield<Result>(entryKey: string, load: () => Promise<Result>, instead: Result): Promise<Result> {
    const leaseKey = keys.lease(entryKey);
    const token = crypto.randomUUID();
    const won = await this.#tryAcquire(leaseKey, token);
    if (won === 'held') return instead;
    return won === 'won' ? this.#lead(leaseKey, token, load) : load();
  }

  async #lead<Result>(leaseKey: string, token: string, load: () => Promise<Result>): Promise<Result> {
    try {
      return await load();
    } finally {
      await this.#release(leaseKey, token);
    }
  }

  async #tryAcquire(leaseKey: string, token: string): Promise<'won' | 'held' | 'unknown'> {
    try {
      const answer = await this.#redis.run((redis) => redis.set(leaseKey, token, 'PX', LEASE_MS, 'NX'));
      return answer === 'OK' ? 'won' : 'held';
    } catch (error) {
      if (error instanceof RedisUnavailableError) return 'unknown';
      throw error;
    }
  }

  async #release(leaseKey: string, token: string): Promise<void> {
    try {
      await this.#redis.run((redis) => redis.releaseIfOwner(leaseKey, token));
    } catch (error) {
      // It ends by itself.
      if (!(error instanceof RedisUnavailableError)) throw error;
    }
  }
}
