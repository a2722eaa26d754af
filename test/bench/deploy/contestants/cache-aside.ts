/** What is written by hand without a library: memory, then GET, then the query and a SET with a time to live. */
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import type { User } from '../../sample-users.ts';
import {
  type ContainerSetup,
  countedLoader,
  type DeployContestant,
  MEMORY_ENTRIES_MAX,
  MEMORY_MS,
  REDIS_MS,
} from './index.ts';

export async function open({ redisUrl, database }: ContainerSetup): Promise<DeployContestant> {
  const redis = new Redis(redisUrl);
  await once(redis, 'ready');
  const memory = new LRUCache<string, User>({ max: MEMORY_ENTRIES_MAX, ttl: MEMORY_MS });
  const loader = countedLoader(database);

  async function loadAndStore(id: string): Promise<User> {
    const user = await loader.load(id);
    await redis.set(`user:${id}`, JSON.stringify(user), 'PX', REDIS_MS);
    return user;
  }

  async function get(id: string): Promise<User> {
    const inMemory = memory.get(id);
    if (inMemory !== undefined) return inMemory;
    const inRedis = await redis.get(`user:${id}`);
    const user = inRedis === null ? await loadAndStore(id) : (JSON.parse(inRedis) as User);
    memory.set(id, user);
    return user;
  }

  return { read: (userId) => loader.hit(userId, get), close: () => redis.disconnect() };
}
