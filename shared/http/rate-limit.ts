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

type Counted = {
  readonly isOneTooMany: boolean;
  readonly endsInMs: number;
  /** Uncounts it. */
  readonly giveBack: () => Promise<unknown>;
};

/** Uncounts a call that failed for a reason of ours: who tries again must not be refused for it. Never rejects. */
export type GiveBack = () => Promise<void>;

export class AdminLimits {
  readonly #redis: GuardedRedis;
  /** By action and subject, when the call that was allowed without Redis was made, by the monotonic clock. */
  readonly #allowedAtMs = new Map<string, number>();

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /** Counts one call. Throws `TooManyRequestsError` when it is one too many. */
  async consume(action: LimitedAction, subject: string): Promise<GiveBack> {
    const { isOneTooMany, endsInMs, giveBack } = await this.#count(action, subject);
    if (!isOneTooMany) return () => giveBackOrReport(action, giveBack);
    throw new TooManyRequestsError({
      policy: action,
      limit: ADMIN_CALLS_PER_MINUTE[action],
      windowSeconds: WINDOW_MS / 1_000,
      retryAfterSeconds: Math.max(1, Math.ceil(endsInMs / 1_000)),
    });
  }

  async #count(action: LimitedAction, subject: string): Promise<Counted> {
    try {
      return await this.#countInRedis(action, keys.limited(subject));
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      return this.#countHere(`${action} ${subject}`);
    }
  }

  async #countInRedis(action: LimitedAction, limited: string): Promise<Counted> {
    const key = keys.limit(action);
    const [calls, endsInMs, endsAtMs] = await withOwnTypes(this.#redis, { [key]: 'hash' }, (client) =>
      client.countCall(key, limited, WINDOW_MS, ADMIN_CALLS_PER_MINUTE[action]),
    );
    const giveBack = () => this.#redis.run((client) => client.uncountCall(key, limited, endsAtMs));
    return { isOneTooMany: calls > ADMIN_CALLS_PER_MINUTE[action], endsInMs, giveBack };
  }

  /** Each container counts for itself then, so each allows one only. */
  #countHere(caller: string): Counted {
    const nowMs = performance.now();
    for (const [each, atMs] of this.#allowedAtMs)
      if (nowMs - atMs >= WINDOW_MS) this.#allowedAtMs.delete(each);
    const allowedAtMs = this.#allowedAtMs.get(caller);
    const isOneTooMany = allowedAtMs !== undefined || this.#allowedAtMs.size >= SUBJECTS_MAX;
    if (!isOneTooMany) this.#allowedAtMs.set(caller, nowMs);
    const giveBack = async () => void this.#allowedAtMs.delete(caller);
    return { isOneTooMany, endsInMs: WINDOW_MS - (nowMs - (allowedAtMs ?? nowMs)), giveBack };
  }
}

async function giveBackOrReport(action: LimitedAction, giveBack: () => Promise<unknown>): Promise<void> {
  try {
    await giveBack();
  } catch (error) {
    log.warn('A call that failed could not be given back.', { action, error });
  }
}
