/** cacheable as its README sets up two layers; its Redis store brings its own client, node-redis. */
import { createKeyvNonBlocking, createKeyv as createKeyvRedis } from '@keyv/redis';
import { Cacheable, createKeyv } from 'cacheable';

export async function open(setup) {
  const nonBlocking = setup.variant === 'nonBlocking';
  const primary = createKeyv({ ttl: setup.memoryMs, lruSize: setup.memoryEntriesMax });
  const secondary = nonBlocking ? createKeyvNonBlocking(setup.redisUrl) : createKeyvRedis(setup.redisUrl);
  secondary.on('error', () => {});
  const cache = new Cacheable({ primary, secondary, ttl: setup.redisMs, nonBlocking });
  cache.on('error', () => {});
  return {
    get: (id) => cache.getOrSet(id, () => setup.load(id)),
    getMany: (ids) => cache.getMany([...ids]),
    close: () => cache.disconnect(),
  };
}
