/** The exact limits of the admin actions, per subject, counted in Redis; stricter ones in memory while Redis is away. */
import { RedisUnavailableError, TooManyRequestsError } from '../errors.ts';
import { ADMIN_CALLS_PER_MINUTE, type LimitedAction } from '../limits.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { withOwnTypes } from '../redis/own-types.ts';

const WINDOW_MS = 60_000;
/** Who is one too many without Redis waits for a whole window. */
const SUBJECTS_MAX = 1_000;

type Counted = { readonly isOneTooMany: boolean; readonly endsInMs: number };

export class AdminLimits {
  readonly #redis: GuardedRedis;
  /** By action and subject, when the call that was allowed without Redis was made, by the monotonic clock. */
  readonly #allowedAtMs = new Map<string, number>();

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /** Counts one call. Throws `TooManyRequestsError` when it is one too many. */
  async consume(action: LimitedAction, subject: string): Promise<void> {
    const { isOneTooMany, endsInMs } = await this.#count(action, subject);
    if (!isOneTooMany) return;
    throw new TooManyRequestsError({
      policy: action,
      limit: ADMIN_CALLS_PER_MINUTE[action],
      windowSeconds: WINDOW_MS / 1_000,
      retryAfterSeconds: Math.max(1, Math.ceil(endsInMs / 1_000)),
    });
  }

  /** Uncounts a call that failed for a reason of ours: who tries again must not be refused for it. Never rejects. */
  async giveBack(action: LimitedAction, subject: string): Promise<void> {
    this.#allowedAtMs.delete(`${action} ${subject}`);
    await this.#countInRedis(action, subject, -1).catch((error: unknown) => {
      log.warn('A call that failed could not be given back.', { action, error });
    });
  }

  async #count(action: LimitedAction, subject: string): Promise<Counted> {
    try {
      const [calls, endsInMs] = await this.#countInRedis(action, subject, 1);
      return { isOneTooMany: calls > ADMIN_CALLS_PER_MINUTE[action], endsInMs };
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      return this.#countHere(`${action} ${subject}`);
    }
  }

  #countInRedis(action: LimitedAction, subject: string, calls: 1 | -1): Promise<[number, number]> {
    const key = keys.limit(action);
    return withOwnTypes(this.#redis, { [key]: 'hash' }, (client) =>
      client.countCalls(key, keys.limited(subject), calls, WINDOW_MS),
    );
  }

  /** Each container counts for itself then, so each allows one only. */
  #countHere(caller: string): Counted {
    const nowMs = performance.now();
    for (const [each, atMs] of this.#allowedAtMs)
      if (nowMs - atMs >= WINDOW_MS) this.#allowedAtMs.delete(each);
    const allowedAtMs = this.#allowedAtMs.get(caller);
    if (allowedAtMs !== undefined) return { isOneTooMany: true, endsInMs: WINDOW_MS - (nowMs - allowedAtMs) };
    if (this.#allowedAtMs.size >= SUBJECTS_MAX) return { isOneTooMany: true, endsInMs: WINDOW_MS };
    this.#allowedAtMs.set(caller, nowMs);
    return { isOneTooMany: false, endsInMs: WINDOW_MS };
  }
}
