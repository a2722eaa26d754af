/** A Redis connection that never hangs: ioredis waits ten seconds for a refused server, and for ever for a frozen one. */
import { Redis } from 'ioredis';
import { log } from '../logger.ts';
import { defineScripts } from './scripts.ts';

/** Reconnect soon, so that recovery is noticed within two seconds, but not in a busy loop. */
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 500;

/** After a failover the connection still leads to the old primary: only a new one finds the new primary. */
const NOT_THE_PRIMARY = /^(READONLY|MASTERDOWN)/;

/** Connects at once and in the background; `commandTimeoutMs` bounds the connecting and every command. */
export function createRedis(redisUrl: string, commandTimeoutMs: number): Redis {
  const redis = new Redis(redisUrl, {
    commandTimeout: commandTimeoutMs,
    connectTimeout: 1_000,
    // A command before the connection is ready fails at once; whoever wants to wait does so with a bound (`untilReady`).
    enableOfflineQueue: false,
    // What was under way when the connection broke may have been executed: repeating it is not ours to decide.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    reconnectOnError: (error) => NOT_THE_PRIMARY.test(error.message),
    retryStrategy: (attempt) => Math.min(RECONNECT_MIN_MS * 2 ** attempt, RECONNECT_MAX_MS),
  });
  // Without a listener ioredis prints each failure as text; the guard logs what matters, once.
  redis.on('error', (error) => log.debug('The Redis connection failed.', { error }));
  defineScripts(redis);
  return redis;
}

/** Resolves when commands can be sent; rejects when an attempt to connect fails, or after `timeoutMs`. */
export function untilReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      redis.off('ready', onReady).off('close', onClose);
      settle();
    };
    const onReady = () => finish(resolve);
    const onClose = () => finish(() => reject(new Error('Redis refused the connection.')));
    const timer = setTimeout(
      () => finish(() => reject(new Error(`Redis was not ready within ${timeoutMs} ms.`))),
      timeoutMs,
    );
    redis.once('ready', onReady).once('close', onClose);
  });
}
