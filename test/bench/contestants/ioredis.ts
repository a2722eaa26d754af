/** The floor of a hit in Redis: one GET, or one MGET, and JSON.parse; or the text as it is, or without the time limit. */
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { jsonOf } from '../sample-users.ts';
import type { Connection, Contestant, Setup } from './contestant.ts';

export async function open(setup: Setup): Promise<Contestant> {
  const connection: Connection = setup.variant === 'unlimited' ? {} : setup.connection;
  const redis = new Redis(setup.redisUrl, connection);
  await once(redis, 'ready');
  const read = setup.variant === 'text' ? (text: string) => text : (text: string) => JSON.parse(text);
  return {
    get: async (id) => read((await redis.get(keyOf(id))) ?? ''),
    getMany: async (ids) => (await redis.mget(ids.map(keyOf))).map((text) => read(text ?? '')),
    fill: (id) => redis.set(keyOf(id), jsonOf(id), 'PX', setup.redisMs),
    toUser: (found) => (typeof found === 'string' ? JSON.parse(found) : found),
    close: () => redis.disconnect(),
  };
}

function keyOf(id: string): string {
  return `user:${id}`;
}
