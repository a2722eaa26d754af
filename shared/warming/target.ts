/** What a warm-up does with a dataset: chooses what is warmed, and looks after what was. */
import type { TieredCache } from '../cache/tiered-cache.ts';
import type { Dataset } from '../datasets/dataset.ts';
import { RedisUnavailableError } from '../errors.ts';
import type { Database } from '../postgres/database.ts';
import { chunksOf } from '../redis/batch.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { within } from '../within.ts';
import { makePlan, type WarmPlan } from './plan.ts';

export type WarmTarget = {
  readonly step: string;
  readonly dataset: string;
  plan(): Promise<WarmPlan>;
  /** What was stored under another generation was cleared meanwhile. */
  generation(): Promise<string>;
  /** Those of `keys` of which Redis has nothing. Throws `RedisUnavailableError`, or the reason of `signal`. */
  missing(keys: readonly string[], signal?: AbortSignal): Promise<string[]>;
  /** How many bytes of Redis one of `keys` takes, on average; 0 where it does not tell. Throws `RedisUnavailableError`. */
  bytesOfOne(keys: readonly string[]): Promise<number>;
  /** Deletes what Redis has of `keys`. Throws `RedisUnavailableError`. */
  drop(keys: readonly string[]): Promise<void>;
  /** Whether the database answers the smallest of questions. Never rejects. */
  isDatabaseWell(): Promise<boolean>;
};

export function warmTargetOf<Id>(
  dataset: Dataset<Id>,
  cache: TieredCache<Id>,
  redis: GuardedRedis,
  database: Database,
): WarmTarget {
  return {
    step: dataset.warmStep,
    dataset: dataset.name,
    generation: () => cache.currentGeneration(),
    missing: (keys, signal) => missingOf(redis, keys, cache.entryKeys(keys), signal),
    bytesOfOne: (keys) => bytesOfOne(redis, cache.entryKeys(keys)),
    drop: (keys) => dropValues(redis, cache.entryKeys(keys)),
    isDatabaseWell: () => isWell(database),
    plan: () => makePlan({ dataset, cache, redis, database }),
  };
}

/** What is well answers within a few milliseconds, also beside a load. */
const WELL_WITHIN_MS = 300;

async function isWell(database: Database): Promise<boolean> {
  const answered = database.query('SELECT 1').then(
    () => true,
    () => false,
  );
  return (await within(WELL_WITHIN_MS, answered)) ?? false;
}

/** How many keys are named at once: Redis answers nobody else meanwhile, and a full one evicts for what it is sent. */
const NAMED_TOGETHER_MAX = 250;

async function missingOf(
  redis: GuardedRedis,
  keys: readonly string[],
  entryKeys: readonly string[],
  signal?: AbortSignal,
): Promise<string[]> {
  const missing: string[] = [];
  for (const [part, some] of chunksOf(entryKeys, NAMED_TOGETHER_MAX).entries()) {
    signal?.throwIfAborted();
    const isThere = await redis.batch(some, (commands, place) => commands.exists(some[place] as string));
    const from = part * NAMED_TOGETHER_MAX;
    missing.push(...keys.slice(from, from + some.length).filter((_, place) => isThere[place] === 0));
  }
  return missing;
}

async function bytesOfOne(redis: GuardedRedis, entryKeys: readonly string[]): Promise<number> {
  try {
    const bytes = await redis.batch(entryKeys, (commands, place) =>
      commands.memory('USAGE', entryKeys[place] as string),
    );
    return bytes.reduce<number>((sum, each) => sum + Number(each), 0) / Math.max(1, entryKeys.length);
  } catch (error) {
    if (error instanceof RedisUnavailableError) throw error;
    return 0; // a managed server may forbid it
  }
}

/** One command for some of them; in a cluster, where each is of another slot, for each. */
async function dropValues(redis: GuardedRedis, entryKeys: readonly string[]): Promise<void> {
  for (const some of chunksOf(entryKeys, NAMED_TOGETHER_MAX)) {
    const together = redis.isCluster ? some.map((one) => [one]) : [some];
    const firstKeys = together.map(([first]) => first as string);
    await redis.batch(firstKeys, (commands, place) => {
      const named = together[place] as string[];
      return commands.dropValues(named.length, ...named);
    });
  }
}
