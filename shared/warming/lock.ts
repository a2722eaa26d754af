/**
 * The warm-up's lock: `cache:warmup:lock` holds the owner's traceId for 30 s, renewed every 5 s: an owner that cannot renew
 * it stops within 10 s, a third of what others wait for.
 *
 * What must never happen: two runs that both believe they own it for longer than a renewal takes; a release or a
 * renewal of somebody else's lock; a run that goes on after it lost the lock. What two owners (after a failover of
 * Redis, or when a full one has evicted the lock, which expires and so may be) still write is harmless, because writes are
 * ordered where they are stored.
 */
import '../cache/redis-scripts.ts'; // raiseGeneration
import { LockLostError, RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { releaseLease, renewLease } from '../redis/lease.ts';
import { withOwnTypes } from '../redis/own-types.ts';

export const lockKeys = {
  /** Holds the traceId of the warm-up that runs, for 30 s at a time. The name is the requirement's own. */
  warmupLock: 'cache:warmup:lock',
  /** The fencing number of the warm-up that took the lock last: when it did, in µs, and higher than the one before. */
  warmupFence: 'prewarm:{warmup}:fence',
} as const;

const LOCK_TTL_SECONDS = 30;
const LOCK = { [lockKeys.warmupLock]: 'string' } as const;
/** A renewal, and the time limits of its command and of a probe before it, fit into a third of the lock's time to live. */
const RENEW_EVERY_MS = 5_000;

export type LockAttempt =
  | { readonly acquired: true; readonly lock: WarmupLock }
  | { readonly acquired: false; readonly holderTraceId: string };

/** Takes the lock for one run, over as many tries as it needs. */
export class LockSeeker {
  readonly #redis: GuardedRedis;
  readonly #traceId: string;
  readonly #renewEveryMs: number;
  /** A SET of this run was executed, or ended without an answer: our traceId in the lock is ours. */
  #mayHaveTaken = false;
  #isAbandoned = false;
  /** Why the last try to take it failed, if Redis refused it: because it is full, say. */
  #failure: unknown;

  constructor(redis: GuardedRedis, traceId: string, renewEveryMs = RENEW_EVERY_MS) {
    this.#redis = redis;
    this.#traceId = traceId;
    this.#renewEveryMs = renewEveryMs;
  }

  /**
   * Takes the lock, or says who holds it. Throws `RedisUnavailableError`, and `signal`'s reason when this try was given
   * up meanwhile. The interleaving that this closes:
   *   1. Redis is frozen, and the last try is given up     3. the SET of that try is answered: taken
   *   2. Redis is back                                     4. nobody knows of it, and it would be renewed for ever
   * What an earlier try took is left to the next one, which finds our traceId.
   */
  async acquire(signal: AbortSignal): Promise<LockAttempt> {
    const holderTraceId = await this.#takeOrReadHolder();
    if (holderTraceId !== undefined) return { acquired: false, holderTraceId };
    const fence = await nextFence(this.#redis);
    if (this.#isAbandoned) await release(this.#redis, this.#traceId);
    signal.throwIfAborted();
    const lock = new WarmupLock(this.#redis, this.#traceId, fence, this.#renewEveryMs);
    return { acquired: true, lock };
  }

  /**
   * No further try follows: gives back what they took, now or when they come to their end. A SET that Redis executes
   * after its connection was given up is known to nobody; what it took ends by itself after 30 s.
   */
  async abandon(): Promise<void> {
    this.#isAbandoned = true;
    if (this.#mayHaveTaken) await release(this.#redis, this.#traceId);
  }

  /**
   * Undefined when the lock is ours. Twice, because it may end between the SET that it refused and the GET that asks
   * for its holder.
   */
  async #takeOrReadHolder(): Promise<string | undefined> {
    for (let round = 0; round < 2; round++) {
      this.#failure = undefined;
      if (await this.#tryToTake()) return undefined;
      const holder = await lockHolder(this.#redis);
      // The same event may be delivered twice: our traceId in the lock is ours only if this run may have put it there.
      if (holder === this.#traceId && this.#mayHaveTaken) return undefined;
      if (holder !== null) return holder;
    }
    throw new RedisUnavailableError('The lock could neither be taken nor read.', { cause: this.#failure });
  }

  async #tryToTake(): Promise<boolean> {
    const couldHaveTakenBefore = this.#mayHaveTaken;
    // Until Redis says that it refused: a SET that timed out may have been executed.
    this.#mayHaveTaken = true;
    try {
      const answer = await this.#redis.run((client) =>
        client.set(lockKeys.warmupLock, this.#traceId, 'EX', LOCK_TTL_SECONDS, 'NX'),
      );
      if (answer === 'OK') return true;
      this.#mayHaveTaken = couldHaveTakenBefore;
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      this.#failure = error;
    }
    return false;
  }
}

/**
 * A time, as a generation is, not a count: a count begins again when Redis has lost it, and what a run that went on
 * meanwhile has written under a high number would stay until the count had caught up.
 */
async function nextFence(redis: GuardedRedis): Promise<number> {
  return Number(await redis.run((client) => client.raiseGeneration(lockKeys.warmupFence, '0')));
}

/**
 * The traceId of the warm-up that runs now, if one does. A lock that would never end, because somebody set it by hand, is
 * given its end.
 */
export async function lockHolder(redis: GuardedRedis): Promise<string | null> {
  const [holder, wasEndless] = await withOwnTypes(redis, LOCK, (client) =>
    Promise.all([
      client.get(lockKeys.warmupLock),
      client.expire(lockKeys.warmupLock, LOCK_TTL_SECONDS, 'NX'),
    ]),
  );
  if (wasEndless === 1)
    log.error('warmup.endless_lock', 'The lock had no time to live, and was given one.', { holder });
  return holder;
}

async function release(redis: GuardedRedis, traceId: string): Promise<boolean> {
  try {
    return await releaseLease(redis, lockKeys.warmupLock, traceId);
  } catch (error) {
    if (!(error instanceof RedisUnavailableError)) throw error;
    log.warn('warmup.release_failed', 'The lock could not be released; it ends by itself.', { error });
    return false;
  }
}

/** A lock that is held: renews itself until it is released, and aborts `signal` when it is lost. */
export class WarmupLock {
  readonly fence: number;
  readonly #redis: GuardedRedis;
  readonly #traceId: string;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(redis: GuardedRedis, traceId: string, fence: number, renewEveryMs: number) {
    this.#redis = redis;
    this.#traceId = traceId;
    this.fence = fence;
    this.#timer = setInterval(() => void this.#renew(), renewEveryMs);
    this.#timer.unref();
  }

  /** Aborted when the lock is not ours any more, or Redis cannot confirm that it is. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Gives the lock back if it is still ours; answers whether it was. */
  async release(): Promise<boolean> {
    clearInterval(this.#timer);
    return release(this.#redis, this.#traceId);
  }

  async #renew(): Promise<void> {
    try {
      if (await renewLease(this.#redis, lockKeys.warmupLock, this.#traceId, LOCK_TTL_SECONDS * 1_000)) return;
      this.#lose('The lock belongs to somebody else.');
    } catch (cause) {
      this.#lose('The lock could not be renewed.', cause);
    }
  }

  #lose(message: string, cause?: unknown): void {
    clearInterval(this.#timer);
    this.#lost.abort(new LockLostError(message, { cause }));
  }
}
