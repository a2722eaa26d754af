/** An ioredis client for the peers that take one: ready before the first read. */
import { once } from 'node:events';
import { Redis } from 'ioredis';

export async function openRedis({ redisUrl, connection }) {
  const redis = new Redis(redisUrl, connection);
  // Without a listener ioredis prints each failure of a connection; the reads tell what matters.
  redis.on('error', () => {});
  await once(redis, 'ready');
  return redis;
}
