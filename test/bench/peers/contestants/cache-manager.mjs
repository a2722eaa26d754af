/** cache-manager as its README sets up two stores; its Redis store brings its own client, node-redis. */
import KeyvRedis from '@keyv/redis';
import { createCache } from 'cache-manager';
import { CacheableMemory } from 'cacheable';
import { Keyv } from 'keyv';

export async function open(setup) {
  const memory = new CacheableMemory({ ttl: setup.memoryMs, lruSize: setup.memoryEntriesMax });
  const shared = new Keyv({ store: new KeyvRedis(setup.redisUrl) });
  shared.on('error', () => {});
  const cache = createCache({ ttl: setup.redisMs, stores: [new Keyv({ store: memory }), shared] });
  return {
    get: (id) => cache.wrap(id, () => setup.load(id)),
    getMany: (ids) => cache.mget([...ids]),
    close: () => cache.disconnect(),
  };
}
