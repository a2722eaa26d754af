/** async-cache-dedupe, which has one layer: memory in the cases about memory, Redis in the others; no batch read. */
import { createCache } from 'async-cache-dedupe';
import { openRedis } from './redis-client.mjs';

export async function open(setup) {
  return setup.layer === 'l1' ? openMemory(setup) : openShared(setup);
}

function openMemory(setup) {
  const storage = { type: 'memory', options: { size: setup.memoryEntriesMax } };
  return { ...readers(setup, createCache({ ttl: setup.memoryMs / 1_000, storage })), close: () => {} };
}

async function openShared(setup) {
  const client = await openRedis(setup);
  const storage = { type: 'redis', options: { client } };
  const cache = createCache({ ttl: setup.redisMs / 1_000, storage });
  return { ...readers(setup, cache), close: () => client.disconnect() };
}

function readers(setup, cache) {
  cache.define('user', (id) => setup.load(id));
  return {
    get: (id) => cache.user(id),
    getMany: (ids) => Promise.all(ids.map((id) => cache.user(id))),
  };
}
