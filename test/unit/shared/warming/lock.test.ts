/** When the lock of a warm-up is renewed, and when its owner takes it for lost: against a Redis of the test's own making, in the test's time. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LockLostError, RedisUnavailableError } from '../../../../shared/errors.ts';
import { type GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { LockSeeker, type WarmupLock } from '../../../../shared/warming/lock.ts';
import { keys } from '../../../support/keys.ts';

const RENEW_EVERY_MS = 5_000;
const LOCK_TTL_MS = 30_000;
const never = new AbortController().signal;

const commands = {
  set: vi.fn(async () => 'OK'),
  raiseGeneration: vi.fn(async () => '7'),
  renewIfOwner: vi.fn(async () => 1),
  releaseIfOwner: vi.fn(async () => 1),
};
const redis = {
  run: (operation: (client: typeof commands) => Promise<unknown>) => operation(commands),
} as unknown as GuardedRedis;

let lock: WarmupLock;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  commands.renewIfOwner.mockReset().mockResolvedValue(1);
  const attempt = await new LockSeeker(redis, 'mine').acquire(never);
  if (!attempt.acquired) throw new Error('The lock should have been free.');
  lock = attempt.lock;
});
afterEach(() => vi.useRealTimers());

it('is taken for 30 s, and renewed every 5 s for as long again, until it is released', async () => {
  expect(commands.set).toHaveBeenCalledWith(keys.warmupLock, 'mine', 'EX', LOCK_TTL_MS / 1_000, 'NX');
  await vi.advanceTimersByTimeAsync(RENEW_EVERY_MS - 1);
  expect(commands.renewIfOwner).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(commands.renewIfOwner.mock.calls).toEqual([[keys.warmupLock, 'mine', LOCK_TTL_MS]]);
  await vi.advanceTimersByTimeAsync(9 * RENEW_EVERY_MS);
  expect(commands.renewIfOwner).toHaveBeenCalledTimes(10);
  await lock.release();
  await vi.advanceTimersByTimeAsync(LOCK_TTL_MS);
  expect(commands.renewIfOwner).toHaveBeenCalledTimes(10);
  expect(lock.signal.aborted).toBe(false);
});

it("is lost at the first renewal that finds it to be somebody else's, and not renewed again", async () => {
  commands.renewIfOwner.mockResolvedValue(0);
  await vi.advanceTimersByTimeAsync(RENEW_EVERY_MS);
  expect(lock.signal.reason).toBeInstanceOf(LockLostError);
  expect(lock.signal.reason).toMatchObject({ message: 'The lock belongs to somebody else.' });
  await vi.advanceTimersByTimeAsync(LOCK_TTL_MS);
  expect(commands.renewIfOwner).toHaveBeenCalledTimes(1);
});

it('is lost within a third of its time to live when Redis takes no renewal: there is one try, of two time limits at most', async () => {
  // Of a probe before it, and of the command: each takes a quarter longer at most.
  const waitsMs = 2 * WARMER_GUARD.timeoutMs * 1.25;
  const cause = new RedisUnavailableError('away');
  commands.renewIfOwner.mockImplementation(
    () => new Promise((_, reject) => setTimeout(reject, waitsMs, cause)),
  );
  await vi.advanceTimersByTimeAsync(RENEW_EVERY_MS + waitsMs);
  expect(lock.signal.reason).toMatchObject({ constructor: LockLostError, cause });
  expect(RENEW_EVERY_MS + waitsMs).toBeLessThan(LOCK_TTL_MS / 3);
  await vi.advanceTimersByTimeAsync(LOCK_TTL_MS);
  expect(commands.renewIfOwner).toHaveBeenCalledTimes(1);
});
