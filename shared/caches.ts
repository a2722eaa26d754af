/** Puts the datasets, their database and Redis together: the caches that the functions read, warm and clear. */
import type { Source } from './cache/source.ts';
import { TieredCache } from './cache/tiered-cache.ts';
import type { Dataset } from './datasets/dataset.ts';
import { datasets } from './datasets/index.ts';
import type { UserSearch } from './datasets/user-search.ts';
import type { Database } from './postgres/database.ts';
import type { GuardedRedis } from './redis/guarded-redis.ts';
import type { WarmTarget } from './warming/step.ts';

export type Caches = {
  readonly users: TieredCache<number>;
  readonly userSearch: TieredCache<UserSearch>;
};

export function openCaches(redis: GuardedRedis, database: Database): Caches {
  return {
    users: new TieredCache(sourceOf(datasets.users, database), redis),
    userSearch: new TieredCache(sourceOf(datasets.userSearch, database), redis),
  };
}

/** What a warm-up does with a dataset: Postgres ranks, and the best `limit` go into the cache. */
export function warmTargetOf<Id>(
  dataset: Dataset<Id>,
  cache: TieredCache<Id>,
  database: Database,
  limit: number,
): WarmTarget {
  return {
    step: dataset.warmStep,
    choose: async () => {
      const ids = await dataset.rank(database, limit);
      return chunksOf(ids, dataset.warmBatchSize).map((batch) => ({
        keys: batch.length,
        warm: (signal) => cache.warm(batch, signal),
      }));
    },
  };
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

function sourceOf<Id>(dataset: Dataset<Id>, database: Database): Source<Id> {
  return { ...dataset, load: (ids) => dataset.load(database, ids) };
}
