/** What a warm-up does with a dataset: which of it people read, in batches that one statement loads each. */
import type { Warmed } from '../cache/loader.ts';
import type { TieredCache } from '../cache/tiered-cache.ts';
import type { Dataset } from '../datasets/dataset.ts';
import { log } from '../logger.ts';
import type { Database } from '../postgres/database.ts';
import { chunksOf } from '../redis/batch.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { within } from '../within.ts';
import { readUnfinished } from './hot-keys.ts';
import { forgetReads, mostRead, type Popular, savePopularity } from './popularity.ts';

/** Some keys that one statement loads. */
export type WarmBatch = {
  readonly keys: readonly string[];
  /** Loads and stores them. In between it calls `onLoaded`, from when on the database has no work with them. */
  warm(signal: AbortSignal, onLoaded: (loadMs: number) => void): Promise<Warmed>;
};

export type WarmPlan = {
  /** What the last run had no time for, then the most read. */
  readonly batches: readonly WarmBatch[];
  /** Batches of some of the planned keys. */
  batchesOf(keys: readonly string[], size?: number): WarmBatch[];
  /** Next time they are left out, until people have read them again. Throws `RedisUnavailableError`. */
  setAside(keys: readonly string[]): Promise<void>;
  /** What a new container should have in its memory, the most read first. */
  readonly hotKeys: readonly string[];
  /** How many of the keys were chosen because people read them; the others are a guess of the database's. */
  readonly keysFromReads: number;
  /** Keeps what people read where it survives Redis. */
  save(): Promise<void>;
};

export type WarmTarget = {
  readonly step: string;
  readonly dataset: string;
  plan(): Promise<WarmPlan>;
  /** What was stored under another generation was cleared meanwhile. */
  generation(): Promise<string>;
  /** Those of `keys` of which Redis has nothing. Throws `RedisUnavailableError`. */
  missing(keys: readonly string[]): Promise<string[]>;
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
    missing: (keys) => missingOf(redis, keys, cache.entryKeys(keys)),
    drop: (keys) => dropValues(redis, cache.entryKeys(keys)),
    isDatabaseWell: () => isWell(database),
    async plan() {
      const [unfinished, popular] = await Promise.all([
        readUnfinished(redis, dataset.name),
        mostRead(redis, database, dataset.name, dataset.warmIdsMax),
      ]);
      const ids = idsOfPopular(dataset, popular);
      const keysFromReads = ids.size;
      await fillUp(ids, dataset, database).catch((error) => {
        if (keysFromReads === 0) throw error;
        log.warn('What people read is warmed, and nothing else.', { dataset: dataset.name, error });
      });
      const keys = [...ids.keys()];
      const idsOf = (batch: readonly string[]) => batch.map((key) => ids.get(key) as Id);
      const batchesOf = (some: readonly string[], size = dataset.warmBatchSize): WarmBatch[] =>
        chunksOf(some, size).map((batch) => ({
          keys: batch,
          warm: (signal, onLoaded) => cache.warm(idsOf(batch), { signal, onLoaded }),
        }));
      const setAside = new Set<string>();
      return {
        batches: batchesOf(withFirst(unfinished, ids)),
        batchesOf,
        async setAside(some) {
          for (const key of some) setAside.add(key);
          await forgetReads(redis, dataset.name, some);
        },
        hotKeys: keys.slice(0, dataset.memoryEntriesMax),
        keysFromReads,
        save: () => {
          const kept = popular.filter(({ key }) => !setAside.has(key));
          return savePopularity(database, dataset.name, kept);
        },
      };
    },
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
): Promise<string[]> {
  const missing: string[] = [];
  for (const [part, some] of chunksOf(entryKeys, NAMED_TOGETHER_MAX).entries()) {
    const isThere = await redis.batch(some, (commands, place) => commands.exists(some[place] as string));
    const from = part * NAMED_TOGETHER_MAX;
    missing.push(...keys.slice(from, from + some.length).filter((_, place) => isThere[place] === 0));
  }
  return missing;
}

/** In a cluster each is of another slot. */
async function dropValues(redis: GuardedRedis, entryKeys: readonly string[]): Promise<void> {
  const together = chunksOf(entryKeys, redis.isCluster ? 1 : NAMED_TOGETHER_MAX);
  const firstKeys = together.map(([first]) => first as string);
  await redis.batch(firstKeys, (commands, place) => {
    const some = together[place] as string[];
    return commands.dropValues(some.length, ...some);
  });
}

/** By their keys, best first. Without what is no key of the dataset's, or not the only spelling of one. */
function idsOfPopular<Id>(dataset: Dataset<Id>, popular: readonly Popular[]): Map<string, Id> {
  const chosen = new Map<string, Id>();
  for (const { key } of popular) {
    const id = dataset.idOf(key);
    if (id !== undefined && dataset.key(id) === key) chosen.set(key, id);
  }
  return chosen;
}

/** As far as there is room, with what the database thinks that people would read. */
async function fillUp<Id>(chosen: Map<string, Id>, dataset: Dataset<Id>, database: Database): Promise<void> {
  if (chosen.size >= dataset.warmIdsMax) return;
  for (const id of await dataset.rank(database, dataset.warmIdsMax)) {
    if (chosen.size >= dataset.warmIdsMax) return;
    chosen.set(dataset.key(id), id);
  }
}

/** The keys of `ids`, those of them that are in `first` before the others. */
function withFirst<Id>(first: readonly string[], ids: ReadonlyMap<string, Id>): string[] {
  const leading = new Set(first.filter((key) => ids.has(key)));
  return leading.size === 0
    ? [...ids.keys()]
    : [...leading, ...[...ids.keys()].filter((key) => !leading.has(key))];
}
