/** What one process has at a time, for a while: it takes a key, renews it and gives it back; the key ends by itself, whatever somebody has put in its place. */
import type { Result } from 'ioredis';
import { log } from '../logger.ts';
import type { GuardedRedis } from './guarded-redis.ts';
import { defineScript } from './script.ts';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /** Deletes `key` if it still holds `owner`; answers 1 or 0. */
    releaseIfOwner(key: string, owner: string): Result<number, Context>;
    /** Sets the time to live of `key` if it still holds `owner`; answers 1 or 0. */
    renewIfOwner(key: string, owner: string, ttlMs: number): Result<number, Context>;
  }
}

const RELEASE_IF_OWNER = `
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

const RENEW_IF_OWNER = `
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`;

defineScript('releaseIfOwner', { numberOfKeys: 1, lua: RELEASE_IF_OWNER });
defineScript('renewIfOwner', { numberOfKeys: 1, lua: RENEW_IF_OWNER });

/**
 * Whether `key` was free, and is now `owner`'s for `ttlMs`. What is there without an end (set by hand, say, or of another
 * type) would be taken for ever: it is given one. Throws what `run` throws.
 */
export async function takeLease(
  redis: GuardedRedis,
  key: string,
  owner: string,
  ttlMs: number,
): Promise<boolean> {
  const answer = await redis.run((client) => client.set(key, owner, 'PX', ttlMs, 'NX'));
  if (answer === 'OK') return true;
  await ensureExpiry(redis, key, ttlMs);
  return false;
}

/** Gives `key` an end if it has none: call it after a wait in vain. Throws what `run` throws. */
export async function ensureExpiry(redis: GuardedRedis, key: string, ttlMs: number): Promise<void> {
  const wasEndless = await redis.run((client) => client.pexpire(key, ttlMs, 'NX'));
  if (wasEndless === 1)
    log.error('redis.endless_lease', 'A lease had no end, and was given one.', { key, ttlMs });
}

/** Gives `key` back if it is still `owner`'s; answers whether it was. Throws what `run` throws. */
export async function releaseLease(redis: GuardedRedis, key: string, owner: string): Promise<boolean> {
  return (await redis.run((client) => client.releaseIfOwner(key, owner))) === 1;
}

/** Keeps `key` for another `ttlMs` if it is still `owner`'s; answers whether it was. Throws what `run` throws. */
export async function renewLease(
  redis: GuardedRedis,
  key: string,
  owner: string,
  ttlMs: number,
): Promise<boolean> {
  return (await redis.run((client) => client.renewIfOwner(key, owner, ttlMs))) === 1;
}
