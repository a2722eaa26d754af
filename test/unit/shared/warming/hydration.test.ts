/** How long a new container's start waits for being warm, in the test's time. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { GuardedRedis } from '../../../../shared/redis/guarded-redis.ts';
import { hydrate } from '../../../../shared/warming/hydration.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

it('a Redis that never answers costs a start 200 ms', async () => {
  const redis = { run: () => new Promise(() => {}) } as unknown as GuardedRedis;
  const hydrated = vi.fn();
  void hydrate(redis, []).then(hydrated);
  await vi.advanceTimersByTimeAsync(199);
  expect(hydrated).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(hydrated.mock.calls).toEqual([[{ keys: 0, durationMs: 200 }]]);
});
