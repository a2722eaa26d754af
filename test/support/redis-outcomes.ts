/** How each operation on a guarded Redis ended: so a test counts the waits that an outage costs instead of timing them. */
import { vi } from 'vitest';
import { RedisUnavailableError } from '../../shared/errors.ts';
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';

export type RedisOutcomes = {
  answered: number;
  /** Sent, or waited for a connection, in vain: each of them cost its caller up to the guard's time limit. */
  waitedInVain: number;
  /** Not sent, because Redis was known not to answer: it cost nothing. */
  refusedAtOnce: number;
};

/** Counts from now on; the answer goes on to be filled. Operations that reject with another error count as answered. */
export function countOutcomes(guard: GuardedRedis): RedisOutcomes {
  const outcomes: RedisOutcomes = { answered: 0, waitedInVain: 0, refusedAtOnce: 0 };
  for (const name of ['run', 'runWaiting'] as const) {
    const original = guard[name].bind(guard);
    vi.spyOn(guard, name).mockImplementation(async (operation) => {
      try {
        const result = await original(operation);
        outcomes.answered++;
        return result as never;
      } catch (error) {
        outcomes[classify(error)]++;
        throw error;
      }
    });
  }
  return outcomes;
}

function classify(error: unknown): keyof RedisOutcomes {
  if (!(error instanceof RedisUnavailableError)) return 'answered';
  return error.message === 'Redis is known not to answer.' ? 'refusedAtOnce' : 'waitedInVain';
}
