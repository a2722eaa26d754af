/** How much memory Redis uses, where it tells. */
import { RedisUnavailableError } from '../errors.ts';
import { isCluster } from './batch.ts';
import type { RedisClient } from './client.ts';
import type { GuardedRedis } from './guarded-redis.ts';

/**
 * Bytes (`used_memory`, of all primaries of a cluster together), or undefined: managed servers may forbid INFO. Throws
 * `RedisUnavailableError`.
 */
export async function readMemoryUsageBytes(redis: GuardedRedis): Promise<number | undefined> {
  try {
    const usedBytes = await redis.run((client) =>
      Promise.all(serversOf(client).map(async (server) => usedMemoryOf(await server.info('memory')))),
    );
    return usedBytes.reduce((sum, bytes) =>
      sum === undefined || bytes === undefined ? undefined : sum + bytes,
    );
  } catch (error) {
    if (error instanceof RedisUnavailableError) throw error;
    return undefined;
  }
}

function serversOf(client: RedisClient): RedisClient[] {
  return isCluster(client) ? client.nodes('master') : [client];
}

function usedMemoryOf(info: string): number | undefined {
  const digits = /^used_memory:(\d+)/m.exec(info)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
