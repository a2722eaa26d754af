/** A wall clock that moves only when a test says so, for caches that compare it with Redis': to them that one goes along. */
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { vi } from 'vitest';
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';

/** From now on the clocks stand still, the one that people set and the one that they do not; `vi.useRealTimers()` ends it. Times to live in Redis stay real. */
export function stopClock(): void {
  vi.useFakeTimers({ toFake: ['Date', 'performance'], now: Date.now() });
}

/** A reading of the clock serves for the rest of a turn of the event loop. */
export async function letPass(ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await endOfTurn();
}

type GenerationCheck = { readonly virtualMs: number; readonly realMs: number };

/**
 * Redis' clock is always this test's, for whoever checks a generation through `redis`. Else a clock that was moved would
 * look like a Redis whose clock fell behind, which has told too little, and all that is in memory would be dropped.
 */
export async function moveRedisAlong(redis: GuardedRedis): Promise<void> {
  await redis.run(async (client) => {
    const look = client.checkGeneration.bind(client);
    const last = new Map<string, GenerationCheck>();
    client.checkGeneration = async (generationKey, invalidatedKey, versionsKey, known, sinceMs, ...rest) => {
      const { virtualMs, realMs } = last.get(generationKey) ?? { virtualMs: 0, realMs: 0 };
      const sinceRealMs = Math.max(0, realMs - (virtualMs - sinceMs));
      const [generation = '', nowMs, ...told] = await look(
        generationKey,
        invalidatedKey,
        versionsKey,
        known,
        sinceRealMs,
        ...rest,
      );
      const answer = { virtualMs: Date.now(), realMs: Number(nowMs) };
      last.set(generationKey, answer);
      return [generation, answer.virtualMs, ...told];
    };
  });
}
