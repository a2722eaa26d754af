/** What INFO reports of the memory of Redis, where it may be asked. */
import { RedisUnavailableError } from '../errors.ts';
import { isCluster } from './batch.ts';
import type { RedisClient } from './client.ts';
import type { GuardedRedis } from './guarded-redis.ts';

/**
 * Bytes (`used_memory`, of all primaries of a cluster together), or undefined: managed servers may forbid INFO. Throws
 * `RedisUnavailableError`.
 */
export function readMemoryUsageBytes(redis: GuardedRedis): Promise<number | undefined> {
  return sumOfInfo(redis, 'memory', 'used_memory');
}

/** Bytes that Redis may use (`maxmemory`), 0 where it has no limit, undefined where INFO is forbidden. Throws `RedisUnavailableError`. */
export function readMaxMemoryBytes(redis: GuardedRedis): Promise<number | undefined> {
  return sumOfInfo(redis, 'memory', 'maxmemory');
}

/** How many keys Redis has evicted since it was started, undefined where INFO is forbidden. Throws `RedisUnavailableError`. */
export function readEvictedKeys(redis: GuardedRedis): Promise<number | undefined> {
  return sumOfInfo(redis, 'stats', 'evicted_keys');
}

async function sumOfInfo(redis: GuardedRedis, section: string, field: string): Promise<number | undefined> {
  try {
    const numbers = await redis.run((client) =>
      Promise.all(serversOf(client).map(async (server) => numberIn(await server.info(section), field))),
    );
    return numbers.reduce((sum, number) =>
      sum === undefined || number === undefined ? undefined : sum + number,
    );
  } catch (error) {
    if (error instanceof RedisUnavailableError) throw error;
    return undefined;
  }
}

function serversOf(client: RedisClient): RedisClient[] {
  return isCluster(client) ? client.nodes('master') : [client];
}

function numberIn(info: string, field: string): number | undefined {
  const digits = new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
