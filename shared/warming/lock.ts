/**
 * The warm-up's lock: `cache:warmup:lock` holds the owner's traceId for 30 s, renewed every 10 s.
 *
 * What must never happen: two runs that both believe they own it for longer than a renewal takes; a release or a
 * renewal of somebody else's lock; a run that goes on after it lost the lock. What two owners (after a failover of
 * Redis) still write is harmless, because writes are ordered where they are stored.
 */
import { LockLostError, RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';

const LOCK_TTL_SECONDS = 30;
const RENEW_EVERY_MS = 10_000;

export type LockAttempt =
  | { readonly acquired: true; readonly lock: WarmupLock }
  | { readonly acquired: false; readonly holderTraceId: string };

/** Takes the lock for `traceId`, or says who holds it. Throws `RedisUnavailableError`. */
export async function acquireLock(
  redis: GuardedRedis,
  traceId: string,
  renewEveryMs = RENEW_EVERY_MS,
): Promise<LockAttempt> {
  const holder = await takeOrReadHolder(redis, traceId);
  if (holder !== traceId) return { acquired: false, holderTraceId: holder };
  const fence = await redis.run((client) => client.incr(keys.warmupFence));
  return { acquired: true, lock: new WarmupLock(redis, traceId, fence, renewEveryMs) };
}

/** The traceId of the warm-up that runs now, if one does. */
export function lockHolder(redis: GuardedRedis): Promise<string | null> {
  return redis.run((client) => client.get(keys.warmupLock));
}

/** Twice, because the lock may end between the SET that it refused and the GET that asks for its holder. */
async function takeOrReadHolder(redis: GuardedRedis, traceId: string): Promise<string> {
  for (let round = 0; round < 2; round++) {
    if (await tryToTake(redis, traceId)) return traceId;
    const holder = await lockHolder(redis);
    if (holder !== null) return holder;
  }
  throw new RedisUnavailableError('The lock could neither be taken nor read.');
}

async function tryToTake(redis: GuardedRedis, traceId: string): Promise<boolean> {
  try {
    const answer = await redis.run((client) =>
      client.set(keys.warmupLock, traceId, 'EX', LOCK_TTL_SECONDS, 'NX'),
    );
    return answer === 'OK';
  } catch (error) {
    // A SET that timed out may have been executed: only the stored value says whether the lock is ours.
    if (error instanceof RedisUnavailableError) return false;
    throw error;
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
    try {
      return (await this.#redis.run((client) => client.releaseIfOwner(keys.warmupLock, this.#traceId))) === 1;
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      log.warn('The lock could not be released; it ends by itself.', { error });
      return false;
    }
  }

  async #renew(): Promise<void> {
    try {
      const renewed = await this.#redis.run((client) =>
        client.renewIfOwner(keys.warmupLock, this.#traceId, LOCK_TTL_SECONDS * 1_000),
      );
      if (renewed === 1) return;
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
