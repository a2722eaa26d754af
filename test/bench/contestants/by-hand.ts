/** The floor of a miss, written by hand: memory, GET, the statement, SET with a time to live, each awaited; text all the way. */
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { openBareUsers } from './bare-users.ts';
import type { Contestant, Setup } from './contestant.ts';

export async function open(setup: Setup): Promise<Contestant> {
  const redis = new Redis(setup.redisUrl, setup.connection);
  await once(redis, 'ready');
  const memory = new LRUCache<string, string>({ max: setup.memoryEntriesMax, ttl: setup.memoryMs });
  const load = openBareUsers(setup.databaseUrl ?? '', setup.variant === 'named');

  async function loadAndStore(id: string): Promise<string> {
    const json = await load(id);
    await redis.set(`user:${id}`, json, 'PX', setup.redisMs);
    return json;
  }

  async function get(id: string): Promise<string> {
    const inMemory = memory.get(id);
    if (inMemory !== undefined) return inMemory;
    const json = (await redis.get(`user:${id}`)) ?? (await loadAndStore(id));
    memory.set(id, json);
    return json;
  }

  return { get, toUser: (read) => JSON.parse(read as string), close: () => redis.disconnect() };
}
