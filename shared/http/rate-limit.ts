/** The exact limits of the routes that have one, per subject, counted in Redis; stricter ones in memory while Redis is away. */
import { createHash } from 'node:crypto';
import type { Result } from 'ioredis';
import { RedisUnavailableError, TooManyRequestsError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { ALSO_WHEN_FULL, NOW } from '../redis/lua.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { defineScript } from '../redis/script.ts';
import type { CallLimit } from '../routes.ts';

export const limitKeys = {
  /** By subject, how often an admin action was called in the window that is open, and when that ends. */
  limit: (action: string) => `prewarm:limit:${action}`,
  /** Whom a limit counts: issuers give subjects of any length, in any characters. */
  limited: (subject: string) => createHash('sha256').update(subject).digest('base64url').slice(0, 22),
} as const;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /**
     * Counts a call of `subject` in the window that is open, or opens one of `windowMs`, unless they are `callsMax` already.
     * Answers how many calls they are with this one, in how many ms the window ends, and when, by Redis' clock in ms.
     */
    countCall(
      limitKey: string,
      subject: string,
      windowMs: number,
      callsMax: number,
    ): Result<[calls: number, endsInMs: number, endsAtMs: number], Context>;
    /** Takes back a call of the window that ends at `endsAtMs`, if it is still open; answers 1 or 0. */
    uncountCall(limitKey: string, subject: string, endsAtMs: number): Result<number, Context>;
  }
}

/**
 * The hash has no time to live, because a full Redis evicts what has one: a window that has ended is forgotten when the next one
 * is opened, by any subject. A window that ends later than one can was opened before the clock was set back.
 */
const COUNT_CALL = `${NOW}
local windowMs = tonumber(ARGV[2])
local function openWindow(text)
  local calls, endsAtMs = string.match(text or '', '^(%d+) (%d+)$')
  if calls and tonumber(endsAtMs) > nowMs and tonumber(endsAtMs) <= nowMs + windowMs then
    return tonumber(calls), tonumber(endsAtMs)
  end
end
local calls, endsAtMs = openWindow(redis.call('HGET', KEYS[1], ARGV[1]))
if not calls then
  calls, endsAtMs = 0, nowMs + windowMs
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do if not openWindow(all[i + 1]) then redis.call('HDEL', KEYS[1], all[i]) end end
end
if calls < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %.0f', calls + 1, endsAtMs))
end
return { calls + 1, endsAtMs - nowMs, endsAtMs }`;

/** Takes back a call of the window in which it was counted; in a later one it would take back another's. */
const UNCOUNT_CALL = `
local calls, endsAtMs = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (%d+)$')
if not calls or endsAtMs ~= ARGV[2] or tonumber(calls) < 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], (calls - 1) .. ' ' .. endsAtMs)
return 1`;

defineScript('countCall', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + COUNT_CALL });
defineScript('uncountCall', { numberOfKeys: 1, lua: ALSO_WHEN_FULL + UNCOUNT_CALL });

const WINDOW_MS = 60_000;
/** Without Redis, a caller beyond so many waits for a whole window. */
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
  readonly #allowedMonotonicMs = new Map<string, number>();

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /** Counts one call. Throws `TooManyRequestsError` when it is one too many. */
  async consume(limit: CallLimit, subject: string): Promise<GiveBack> {
    const { isOneTooMany, endsInMs, giveBack } = await this.#count(limit, subject);
    if (!isOneTooMany) return () => giveBackOrReport(limit.name, giveBack);
    throw new TooManyRequestsError({
      policy: limit.name,
      limit: limit.callsPerMinute,
      windowSeconds: WINDOW_MS / 1_000,
      retryAfterSeconds: Math.max(1, Math.ceil(endsInMs / 1_000)),
    });
  }

  async #count(limit: CallLimit, subject: string): Promise<Counted> {
    try {
      return await this.#countInRedis(limit, limitKeys.limited(subject));
    } catch (error) {
      if (!(error instanceof RedisUnavailableError)) throw error;
      return this.#countHere(`${limit.name} ${subject}`);
    }
  }

  async #countInRedis({ name, callsPerMinute }: CallLimit, limited: string): Promise<Counted> {
    const key = limitKeys.limit(name);
    const [calls, endsInMs, endsAtMs] = await withOwnTypes(this.#redis, { [key]: 'hash' }, (client) =>
      client.countCall(key, limited, WINDOW_MS, callsPerMinute),
    );
    const giveBack = () => this.#redis.run((client) => client.uncountCall(key, limited, endsAtMs));
    return { isOneTooMany: calls > callsPerMinute, endsInMs, giveBack };
  }

  /** Each container counts for itself then, so each allows one only. */
  #countHere(caller: string): Counted {
    const nowMonotonicMs = performance.now();
    for (const [each, monotonicMs] of this.#allowedMonotonicMs)
      if (nowMonotonicMs - monotonicMs >= WINDOW_MS) this.#allowedMonotonicMs.delete(each);
    const allowedMonotonicMs = this.#allowedMonotonicMs.get(caller);
    const isOneTooMany = allowedMonotonicMs !== undefined || this.#allowedMonotonicMs.size >= SUBJECTS_MAX;
    if (!isOneTooMany) this.#allowedMonotonicMs.set(caller, nowMonotonicMs);
    const giveBack = async () => void this.#allowedMonotonicMs.delete(caller);
    return {
      isOneTooMany,
      endsInMs: WINDOW_MS - (nowMonotonicMs - (allowedMonotonicMs ?? nowMonotonicMs)),
      giveBack,
    };
  }
}

async function giveBackOrReport(limit: string, giveBack: () => Promise<unknown>): Promise<void> {
  try {
    await giveBack();
  } catch (error) {
    log.warn('limit.give_back_failed', 'A call that failed could not be uncounted.', {
      action: limit,
      error,
    });
  }
}
