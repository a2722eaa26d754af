/** bentocache as its documentation sets up two layers without a bus; it has no batch read. */
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisDriver } from 'bentocache/drivers/redis';
import { openRedis } from './redis-client.mjs';

const BREAKER_OPEN_MS = 30_000;

export async function open(setup) {
  const connection = await openRedis(setup);
  const memory = { maxItems: setup.memoryEntriesMax, serialize: setup.variant !== 'unserialized' };
  const bento = new BentoCache({
    default: 'users',
    ttl: setup.redisMs,
    ...(setup.variant === 'breaker' && { l2CircuitBreakerDuration: BREAKER_OPEN_MS }),
    stores: {
      users: bentostore().useL1Layer(memoryDriver(memory)).useL2Layer(redisDriver({ connection })),
    },
  });
  const get = (id) => bento.getOrSet({ key: id, factory: () => setup.load(id) });
  return {
    get,
    getMany: (ids) => Promise.all(ids.map(get)),
    close: () => connection.disconnect(),
  };
}
