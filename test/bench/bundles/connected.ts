/** The same floor, with a connection that is ready, as the reading function has one when its import is done. */
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';

export const cache = new LRUCache<string, string>({ max: 1_000 });
export const redis = new Redis(process.env['REDIS_URL'] ?? '', { enableOfflineQueue: false });
await once(redis, 'ready');
