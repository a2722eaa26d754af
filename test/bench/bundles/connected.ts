/** The same floor, with the connections that the reading function has when its import is done: to Redis and to Postgres. */
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import pg from 'pg';

export const cache = new LRUCache<string, string>({ max: 1_000 });
export const redis = new Redis(process.env['REDIS_URL'] ?? '', { enableOfflineQueue: false });
export const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 2 });
const [, client] = await Promise.all([once(redis, 'ready'), pool.connect()]);
client.release();
