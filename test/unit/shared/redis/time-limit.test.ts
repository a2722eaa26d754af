/** How long is waited for, and what does not count as waiting. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TimeLimit } from '../../../../shared/redis/time-limit.ts';

const LIMIT_MS = 100;
const never = new Promise<never>(() => {});
let limit: TimeLimit;

beforeEach(() => {
  vi.useFakeTimers();
  limit = new TimeLimit(LIMIT_MS, () => new Error('late'));
});
afterEach(() => vi.useRealTimers());

it('what is late is given up after its limit, and a quarter of it more at most', async () => {
  const outcomes: string[] = [];
  const note = (name: string) => () => outcomes.push(name);
  limit.bound(never).catch(note('begun at once'));
  await vi.advanceTimersByTimeAsync(20);
  limit.bound(never).catch(note('begun 20 ms later'));
  await vi.advanceTimersByTimeAsync(LIMIT_MS - 20 - 1);
  expect(outcomes).toEqual([]);
  await vi.advanceTimersByTimeAsync(LIMIT_MS / 4 + 1);
  expect(outcomes).toEqual(['begun at once', 'begun 20 ms later']);
});

it('what comes in time is passed on, a failure too, and no timer is left', async () => {
  await expect(limit.bound(Promise.resolve('answer'))).resolves.toBe('answer');
  await expect(limit.bound(Promise.reject(new Error('refused')))).rejects.toThrow('refused');
  await vi.advanceTimersByTimeAsync(LIMIT_MS);
  expect(vi.getTimerCount()).toBe(0);
});

it('a stall of the process is not waiting: what was answered meanwhile is taken in', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const bounded = limit.bound(promise);
  await vi.advanceTimersByTimeAsync(1);
  // The clock is a minute further when the event loop goes on: its timers come first, then the socket.
  vi.setSystemTime(Date.now() + 60_000);
  vi.advanceTimersToNextTimer();
  resolve('answered long ago');
  await expect(bounded).resolves.toBe('answered long ago');
});

it('many that are begun and answered leave nothing behind', async () => {
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 50 }, (_, index) => limit.bound(Promise.resolve(index))));
    await vi.advanceTimersByTimeAsync(10);
  }
  await vi.advanceTimersByTimeAsync(2 * LIMIT_MS);
  expect(vi.getTimerCount()).toBe(0);
});
