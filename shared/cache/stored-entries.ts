/** What Redis has of a dataset's keys, for a run that has stored many: which are gone, how many bytes one takes, and how to drop some. */
import { RedisUnavailableError } from '../errors.ts';
import { chunksOf } from '../redis/batch.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
// Defines dropValues.
import './redis-scripts.ts';

/** How many keys are named at once: Redis answers nobody else meanwhile, and a full one evicts for what it is sent. */
const NAMED_TOGETHER_MAX = 250;

/** The places of those `entryKeys` that are not in Redis. Throws `RedisUnavailableError`, or the reason of `signal`. */
export async function findMissing(
  redis: GuardedRedis,
  entryKeys: readonly string[],
  signal?: AbortSignal,
): Promise<number[]> {
  const missing: number[] = [];
  for (const [part, some] of chunksOf(entryKeys, NAMED_TOGETHER_MAX).entries()) {
    signal?.throwIfAborted();
    const isThere = await redis.batch(some, (commands, place) => commands.exists(some[place] as string));
    for (const [place, count] of isThere.entries())
      if (count === 0) missing.push(part * NAMED_TOGETHER_MAX + place);
  }
  return missing;
}

/** How many bytes of Redis one takes, on average; 0 where it does not tell. Throws `RedisUnavailableError`. */
export async function meanBytesOf(redis: GuardedRedis, entryKeys: readonly string[]): Promise<number> {
  try {
    const bytes = await redis.batch(entryKeys, (commands, place) =>
      commands.memory('USAGE', entryKeys[place] as string),
    );
    return bytes.reduce<number>((sum, each) => sum + Number(each), 0) / Math.max(1, entryKeys.length);
  } catch (error) {
    if (error instanceof RedisUnavailableError) throw error;
    return 0; // a managed server may forbid it
  }
}

/** One command for some of them; in a cluster, where each is of another slot, for each. Throws `RedisUnavailableError`. */
export async function dropValues(redis: GuardedRedis, entryKeys: readonly string[]): Promise<void> {
  for (const some of chunksOf(entryKeys, NAMED_TOGETHER_MAX)) {
    const together = redis.isCluster ? some.map((one) => [one]) : [some];
    const firstKeys = together.map(([first]) => first as string);
    await redis.batch(firstKeys, (commands, place) => {
      const named = together[place] as string[];
      return commands.dropValues(named.length, ...named);
    });
  }
}
