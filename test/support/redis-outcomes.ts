/** How each operation on a guarded Redis ended: so a test counts the waits that an outage costs instead of timing them. */
import { ReplyError } from 'ioredis';
import { vi } from 'vitest';
import { RedisUnavailableError } from '../../shared/errors.ts';
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';

export type RedisOutcomes = {
  /** With a refusal too: a server that says no has answered. */
  answered: number;
  /** Sent, or waited for a connection, in vain: each of them cost its caller up to the guard's time limit. */
  waitedInVain: number;
  /** Not sent, because Redis was known not to answer: it cost nothing. */
  refusedAtOnce: number;
  /** How often one had to be awaited before the next could begin: those that began before any of them ended are one. */
  waits: number;
  /** Such waits in which something was waited for in vain: a caller of both a generation check and a read waits once for the two. */
  waitsInVain: number;
  /** When the attempts in vain began of which the guard has told, those of its probes too: by the wall clock. */
  readonly attemptsInVainMs: Set<number>;
};

type Wait = { hasEnded: boolean; counted: boolean; countedInVain: boolean };

/** Counts from now on; the answer goes on to be filled. Operations that reject with another error count as answered. */
export function countOutcomes(guard: GuardedRedis): RedisOutcomes {
  const outcomes: RedisOutcomes = {
    answered: 0,
    waitedInVain: 0,
    refusedAtOnce: 0,
    waits: 0,
    waitsInVain: 0,
    attemptsInVainMs: new Set(),
  };
  let latest: Wait | undefined;
  const begin = (): Wait => {
    if (latest === undefined || latest.hasEnded) {
      latest = { hasEnded: false, counted: false, countedInVain: false };
    }
    return latest;
  };
  const end = (wait: Wait, error?: unknown) => {
    const outcome = classify(error);
    outcomes[outcome]++;
    wait.hasEnded = true;
    if (outcome !== 'refusedAtOnce' && !wait.counted) {
      wait.counted = true;
      outcomes.waits++;
    }
    if (outcome === 'waitedInVain' && !wait.countedInVain) {
      wait.countedInVain = true;
      outcomes.waitsInVain++;
    }
    const attemptedAtMs = error instanceof RedisUnavailableError ? error.attemptedAtMs : undefined;
    if (attemptedAtMs !== undefined) outcomes.attemptsInVainMs.add(attemptedAtMs);
  };
  for (const name of ['run', 'runWaiting'] as const) {
    const original = guard[name].bind(guard);
    vi.spyOn(guard, name).mockImplementation(async (operation) => {
      const wait = begin();
      try {
        const result = await original(operation);
        end(wait);
        return result as never;
      } catch (error) {
        end(wait, error);
        throw error;
      }
    });
  }
  return outcomes;
}

function classify(error: unknown): 'answered' | 'waitedInVain' | 'refusedAtOnce' {
  if (!(error instanceof RedisUnavailableError) || error.cause instanceof ReplyError) return 'answered';
  return error.message === 'Redis is known not to answer.' ? 'refusedAtOnce' : 'waitedInVain';
}
