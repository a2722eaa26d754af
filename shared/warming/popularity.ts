/**
 * What people read: every container adds its counts to one ranking a dataset in Redis, and a warm-up takes the top of it.
 *
 * A read weighs half as much with every four hours that pass, and next to nothing after a day. Scores are times in ms:
 * `n` reads at the time `t` score `t + halfLife × log2(n)`, the time at which a single read would weigh the same. So
 * nothing has to be recalculated as time goes by, the order is right at any moment, and the top is one range.
 */
import type { Result } from 'ioredis';
import type { TieredCache } from '../cache/tiered-cache.ts';
import { hasPassed } from '../clock.ts';
import { log } from '../logger.ts';
import type { RedisClient } from '../redis/client.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { MAX_MEMORY, NOW } from '../redis/lua.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { defineScript } from '../redis/script.ts';

/** What people read of a dataset, scored by how much and how lately. */
export const popularityKey = (dataset: string) => `prewarm:{${dataset}}:popularity`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /**
     * Adds reads to a dataset's popularity. `beganAtMs` is when they were read, or '' for now; `offsetsMs` what their
     * number adds to it (`shared/warming/popularity.ts` says how). Forgotten are the least popular beyond `keysMax`, and
     * what was last read more than `rememberedMs` ago; answers how many are known then.
     */
    addReads(
      popularityKey: string,
      beganAtMs: number | '',
      halfLifeMs: number,
      keysMax: number,
      rememberedMs: number,
      ...keysAndOffsetsMs: (string | number)[]
    ): Result<number, Context>;
  }
}

/** What cannot be evicted must stay small where the memory is: of a dataset's ranking, a part of it, at so much a key. */
const RANKING_SHARE = 0.1;

const RANKED_KEY_BYTES = 140;

/** Redis answers nobody else meanwhile: ten times what is added together, so that many are forgotten soon all the same. */
const FORGOTTEN_TOGETHER_MAX = 2_000;

/**
 * A score is a time: that at which one single read would weigh as much. Reads of one key add up as their weights do, which
 * halve with every half-life. Without a time to live: a full Redis evicts what has one.
 */
const ADD_READS = `${NOW}${MAX_MEMORY}
local readAtMs = tonumber(ARGV[1]) or nowMs
local halfLifeMs = tonumber(ARGV[2])
for i = 5, #ARGV, 2 do
  local scoreMs = readAtMs + tonumber(ARGV[i + 1])
  local storedMs = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or '-inf')
  local higherMs, lowerMs = math.max(scoreMs, storedMs), math.min(scoreMs, storedMs)
  if lowerMs > -math.huge then
    higherMs = higherMs + halfLifeMs * math.log(1 + 2 ^ ((lowerMs - higherMs) / halfLifeMs)) / math.log(2)
  end
  redis.call('ZADD', KEYS[1], string.format('%.3f', higherMs), ARGV[i])
end
redis.call('PERSIST', KEYS[1])
local keysMax, memory = tonumber(ARGV[3]), maxMemory()
if memory > 0 then keysMax = math.min(keysMax, math.floor(memory * ${RANKING_SHARE} / ${RANKED_KEY_BYTES})) end
local tooMany = redis.call('ZCARD', KEYS[1]) - keysMax
local tooOld = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. nowMs - ARGV[4])
local forgotten = math.min(math.max(tooMany, tooOld), ${FORGOTTEN_TOGETHER_MAX})
if forgotten > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, forgotten - 1) end
return redis.call('ZCARD', KEYS[1])`;

defineScript('addReads', { numberOfKeys: 1, lua: ADD_READS });

const HOUR_MS = 3_600_000;
export const HALF_LIFE_MS = 4 * HOUR_MS;
/** A key whose reads weigh less than one a day ago is not popular any more. */
export const REMEMBERED_MS = 24 * HOUR_MS;
/**
 * The least popular beyond it are forgotten, and before that what is more than a tenth of Redis' memory: about 120 MB a
 * dataset at most. A crawler's single reads are the first of them.
 */
const KEYS_MAX = 1_000_000;
/** Redis answers nobody else while it runs the script: 0.9 ms for so many, measured on one core. */
const ADDED_TOGETHER_MAX = 200;
const FLUSH_EVERY_MS = 15_000;
/** Each container's interval is longer by up to this share: those that a deployment started together drift apart. */
const FLUSH_SPREAD = 1 / 3;

export type Popular = { readonly key: string; readonly score: number };

type ReadCache = Pick<TieredCache<never>, 'name' | 'hasManyReads' | 'takeReads'>;

/** Some keys of one dataset, with how often they were read. */
type Part = { readonly dataset: string; readonly reads: ReadonlyMap<string, number> };

/** Hands on what a container's caches counted. A ranking needs no exact sum: what cannot be handed on is forgotten. */
export class ReadReporter {
  readonly #redis: GuardedRedis;
  readonly #caches: readonly ReadCache[];
  readonly #flushEveryMs = FLUSH_EVERY_MS * (1 + Math.random() * FLUSH_SPREAD);
  #collectedAtMs = 0;
  #waiting: Part[] = [];

  constructor(redis: GuardedRedis, caches: readonly ReadCache[]) {
    this.#redis = redis;
    this.#caches = caches;
  }

  /**
   * Collects what was counted, if it is time, and hands on a part of it; the next requests take the other parts with them.
   * Never rejects, and takes no longer than a command to Redis may. Await it before the answer: a frozen container sends nothing.
   */
  async reportIfDue(): Promise<void> {
    if (this.#waiting.length === 0 && this.#isDue()) this.#collect();
    await this.#sendPart(this.#waiting.shift());
  }

  /** Hands on all of it. */
  async reportAll(): Promise<void> {
    this.#collect();
    while (this.#waiting.length > 0) await this.#sendPart(this.#waiting.shift());
  }

  #isDue(): boolean {
    if (hasPassed(this.#flushEveryMs, this.#collectedAtMs)) return true;
    return this.#caches.some(({ hasManyReads }) => hasManyReads);
  }

  #collect(): void {
    for (const cache of this.#caches) {
      const reads = [...cache.takeReads()];
      for (let from = 0; from < reads.length; from += ADDED_TOGETHER_MAX) {
        const some = new Map(reads.slice(from, from + ADDED_TOGETHER_MAX));
        this.#waiting.push({ dataset: cache.name, reads: some });
      }
    }
    // A container's first request has nothing to tell yet; its second one need not wait 15 s to tell of it.
    if (this.#waiting.length > 0) this.#collectedAtMs = Date.now();
  }

  async #sendPart(part: Part | undefined): Promise<void> {
    if (part === undefined) return;
    try {
      await addReads(this.#redis, part.dataset, part.reads);
    } catch (error) {
      log.debug('popularity.report_failed', 'The counts of what was read could not be reported.', { error });
    }
  }
}

/** Adds what was read just now. Throws `RedisUnavailableError`. */
export function addReads(
  redis: GuardedRedis,
  dataset: string,
  reads: ReadonlyMap<string, number>,
): Promise<void> {
  const weighed = [...reads].map(([key, count]) => ({ key, score: HALF_LIFE_MS * Math.log2(count) }));
  return addWeighed(redis, dataset, '', weighed);
}

/** Whatever else is under the ranking's name is removed. Throws what `run` throws. */
export function inRanking<T>(
  redis: GuardedRedis,
  dataset: string,
  operation: (client: RedisClient, key: string) => Promise<T>,
): Promise<T> {
  const key = popularityKey(dataset);
  return withOwnTypes(redis, { [key]: 'zset' }, (client) => operation(client, key));
}

/** Adds weights to keys. `beganAtMs` is as the script takes it: '' for now, or 0 where the scores are whole. */
export async function addWeighed(
  redis: GuardedRedis,
  dataset: string,
  beganAtMs: 0 | '',
  popular: readonly Popular[],
): Promise<void> {
  for (let from = 0; from < popular.length; from += ADDED_TOGETHER_MAX) {
    const part = popular.slice(from, from + ADDED_TOGETHER_MAX).flatMap(({ key, score }) => [key, score]);
    await inRanking(redis, dataset, (client, key) =>
      client.addReads(key, beganAtMs, HALF_LIFE_MS, KEYS_MAX, REMEMBERED_MS, ...part),
    );
  }
}
