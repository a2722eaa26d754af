/** layered-loader as its README sets up memory, Redis and a data source. */
import { Loader, RedisCache } from 'layered-loader';
import { openRedis } from './redis-client.mjs';

export async function open(setup) {
  const redis = await openRedis(setup);
  const loader = new Loader({
    inMemoryCache: {
      cacheType: 'lru-map',
      ttlInMsecs: setup.memoryMs,
      maxItems: setup.memoryEntriesMax,
    },
    asyncCache: new RedisCache(redis, { json: true, ttlInMsecs: setup.redisMs }),
    dataSourceGetOneFn: (id) => setup.load(id),
    dataSourceGetManyFn: (ids) => Promise.all(ids.map((id) => setup.load(id))),
    cacheKeyFromValueResolver: (user) => String(user.id),
  });
  return {
    probe: (id) => loader.getInMemoryOnly(id),
    get: (id) => loader.get(id),
    getMany: (ids) => loader.getMany(ids),
    close: () => redis.disconnect(),
  };
}
