/** How much memory Redis uses, where it tells. */
import { RedisUnavailableError } from '../errors.ts';
import type { GuardedRedis } from './guarded-redis.ts';

/** Bytes (`used_memory`), or undefined: managed servers may forbid INFO. Throws `RedisUnavailableError`. */
export async function readMemoryUsageBytes(redis: GuardedRedis): Promise<number | undefined> {
  try {
    const info = await redis.run((client) => client.info('memory'));
    const digits = /^used_memory:(\d+)/m.exec(info)?.[1];
    return digits === undefined ? undefined : Number(digits);
  } catch (error) {
    if (error instanceof RedisUnavailableError) throw error;
    return undefined;
  }
}
