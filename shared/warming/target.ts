/** What a warm-up does with a dataset: which of it people read, in batches that one statement loads each. */
import type { Warmed } from '../cache/loader.ts';
import type { TieredCache } from '../cache/tiered-cache.ts';
import type { Dataset } from '../datasets/dataset.ts';
import { log } from '../logger.ts';
import type { Database } from '../postgres/database.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { readUnfinished } from './hot-keys.ts';
import { mostRead, type Popular, savePopularity } from './popularity.ts';

/** Some keys that one statement loads. */
export type WarmBatch = {
  readonly keys: readonly string[];
  /** Loads and stores them. In between it calls `onLoaded`, from when on the database has no work with them. */
  warm(signal: AbortSignal, onLoaded: (loadMs: number) => void): Promise<Warmed>;
};

export type WarmPlan = {
  /** What the last run had no time for, then the most read. */
  readonly batches: readonly WarmBatch[];
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
      return {
        batches: chunksOf(withFirst(unfinished, ids), dataset.warmBatchSize).map((batch) => ({
          keys: batch,
          warm: (signal, onLoaded) => cache.warm(idsOf(batch), { signal, onLoaded }),
        })),
        hotKeys: keys.slice(0, dataset.memoryEntriesMax),
        keysFromReads,
        save: () => savePopularity(database, dataset.name, popular),
      };
    },
  };
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

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
