/** The exact limits of the admin actions, per subject, counted in Redis; stricter ones in memory while Redis is away. */
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { TooManyRequestsError } from '../errors.ts';
import { ADMIN_CALLS_PER_MINUTE, type LimitedAction } from '../limits.ts';
import { log } from '../logger.ts';
import { createRedis, type RedisClient, untilReady } from '../redis/client.ts';
import { keys } from '../redis/keys.ts';

const WINDOW_SECONDS = 60;
const REDIS_TIMEOUT_MS = 200;

export class AdminLimits {
  readonly #redis: RedisClient;
  readonly #limiters: Record<LimitedAction, RateLimiterRedis>;

  constructor(redisUrl: string) {
    this.#redis = createRedis(redisUrl, REDIS_TIMEOUT_MS);
    const storeClient = this.#redis;
    const limiterOf = (action: LimitedAction) =>
      new RateLimiterRedis({
        storeClient,
        keyPrefix: `${keys.limitPrefix}:${action}`,
        points: ADMIN_CALLS_PER_MINUTE[action],
        duration: WINDOW_SECONDS,
        rejectIfRedisNotReady: true,
        // Each container counts for itself then, so each allows one only.
        insuranceLimiter: new RateLimiterMemory({
          keyPrefix: action,
          points: 1,
          duration: WINDOW_SECONDS,
        }),
      });
    this.#limiters = {
      status: limiterOf('status'),
      'warm-up': limiterOf('warm-up'),
      clear: limiterOf('clear'),
    };
  }

  /** Uncounts a call that failed for a reason of ours: who tries again must not be refused for it. Never rejects. */
  async giveBack(action: LimitedAction, subject: string): Promise<void> {
    await this.#limiters[action].reward(keys.limited(subject)).catch((error: unknown) => {
      log.warn('A call that failed could not be given back.', { action, error });
    });
  }

  /** Counts one call. Throws `TooManyRequestsError` when it is one too many. */
  async consume(action: LimitedAction, subject: string): Promise<void> {
    // A container's first call must count in Redis as well, so it waits for the connection; not for long.
    await untilReady(this.#redis, REDIS_TIMEOUT_MS).catch(() => undefined);
    try {
      await this.#limiters[action].consume(keys.limited(subject));
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw new TooManyRequestsError({
        policy: action,
        limit: ADMIN_CALLS_PER_MINUTE[action],
        windowSeconds: WINDOW_SECONDS,
        retryAfterSeconds: Math.max(1, Math.ceil(error.msBeforeNext / 1_000)),
      });
    }
  }
}
