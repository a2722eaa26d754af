/** Takes what one process has at a time, for a while: a lease ends by itself, whatever somebody has put in its place. */
import { log } from '../logger.ts';
import type { GuardedRedis } from './guarded-redis.ts';

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

/** For who has waited in vain. Throws what `run` throws. */
export async function ensureExpiry(redis: GuardedRedis, key: string, ttlMs: number): Promise<void> {
  const wasEndless = await redis.run((client) => client.pexpire(key, ttlMs, 'NX'));
  if (wasEndless === 1) log.error('A lease had no end, and was given one.', { key, ttlMs });
}
