/** Keys of ours under which somebody else has put something of another type: named in the log, removed, and used again. */
import { ReplyError } from 'ioredis';
import { log } from '../logger.ts';
import type { RedisClient } from './client.ts';
import type { GuardedRedis } from './guarded-redis.ts';

/** The types of keys that are used here, in the words of TYPE. */
type KeyType = 'string' | 'hash' | 'zset';

/**
 * Runs `operation`, whose keys and their types are `types`. Where a key turns out to be of another type, it is removed and
 * the operation is run once more. All keys are of one slot. Throws what `run` throws.
 */
export async function withOwnTypes<T>(
  redis: GuardedRedis,
  types: Readonly<Record<string, KeyType>>,
  operation: (client: RedisClient) => Promise<T>,
): Promise<T> {
  try {
    return await redis.run(operation);
  } catch (error) {
    if (!isWrongType(error)) throw error;
    for (const [key, type] of Object.entries(types)) await removeUnless(redis, key, type);
    return redis.run(operation);
  }
}

function isWrongType(error: unknown): boolean {
  return error instanceof ReplyError && (error as Error).message.includes('WRONGTYPE');
}

async function removeUnless(redis: GuardedRedis, key: string, expected: KeyType): Promise<void> {
  const type = await redis.run((client) => client.type(key));
  if (type === expected || type === 'none') return;
  log.error('redis.key_of_other_type', 'A key of ours was of another type, and is removed.', {
    key,
    type,
    expected,
  });
  await redis.run((client) => client.del(key));
}
