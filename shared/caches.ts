/** Puts the datasets, their database and Redis together: the caches that the functions read, warm and clear. */
import type { Source } from './cache/source.ts';
import { dropValues, findMissing, meanBytesOf } from './cache/stored-entries.ts';
import { TieredCache } from './cache/tiered-cache.ts';
import type { Dataset } from './datasets/dataset.ts';
import { datasets } from './datasets/index.ts';
import type { Database } from './postgres/database.ts';
import type { GuardedRedis } from './redis/guarded-redis.ts';
import type { WarmableDataset } from './warming/dataset-warmer.ts';
import { makePlan } from './warming/plan.ts';

/** Datasets by the name that code has for them. What their ids are, each knows for itself. */
// biome-ignore lint/suspicious/noExplicitAny: a dataset both takes and gives its ids, so no other type is one of all.
type Registry = Readonly<Record<string, Dataset<any>>>;

/** A cache for each registered dataset, under the same name. */
export type Caches<Registered extends Registry = typeof datasets> = {
  readonly [Name in keyof Registered]: Registered[Name] extends Dataset<infer Id> ? TieredCache<Id> : never;
};

export function openCaches(redis: GuardedRedis, database: Database): Caches;
export function openCaches<Registered extends Registry>(
  redis: GuardedRedis,
  database: Database,
  registered: Registered,
): Caches<Registered>;
export function openCaches(
  redis: GuardedRedis,
  database: Database,
  registered: Registry = datasets,
): unknown {
  const count = Object.keys(registered).length;
  const open = (dataset: Registry[string]) => new TieredCache(sourceOf(dataset, database), redis, count);
  const opened = Object.entries(registered).map(([name, dataset]) => ({
    name,
    dataset,
    cache: open(dataset),
  }));
  for (const { dataset, cache } of opened) {
    for (const name of dataset.derivedFrom ?? []) originOf(name, dataset.name, opened).clearsToo(cache);
  }
  return Object.fromEntries(opened.map(({ name, cache }) => [name, cache]));
}

type Opened = { readonly dataset: Registry[string]; readonly cache: TieredCache<unknown> };

/** Throws for a name that is no other dataset's: what it stands for would never be invalidated. Registered before what is made of it, so that there is no circle. */
function originOf(name: string, derived: string, opened: readonly Opened[]): TieredCache<unknown> {
  const before = opened.slice(
    0,
    opened.findIndex(({ dataset }) => dataset.name === derived),
  );
  const origin = before.find(({ dataset }) => dataset.name === name);
  if (origin === undefined) {
    throw new Error(
      `"${derived}" is derived from "${name}", and no dataset of that name is registered before it.`,
    );
  }
  return origin.cache;
}

/** All of them as a warm-up sees them, in the order in which they are registered. */
export function warmableDatasetsOf(
  redis: GuardedRedis,
  database: Database,
  caches: Caches<Registry>,
  registered: Registry = datasets,
): WarmableDataset[] {
  return Object.entries(registered).map(([name, dataset]) =>
    warmableDatasetOf(dataset, caches[name] as TieredCache<unknown>, redis, database),
  );
}

function warmableDatasetOf<Id>(
  dataset: Dataset<Id>,
  cache: TieredCache<Id>,
  redis: GuardedRedis,
  database: Database,
): WarmableDataset {
  return {
    name: dataset.name,
    step: dataset.warmStep,
    generation: () => cache.currentGeneration(),
    plan: () => makePlan({ dataset, cache, redis, database }),
    missing: async (keys, signal) =>
      (await findMissing(redis, cache.entryKeys(keys), signal)).map((place) => keys[place] as string),
    bytesOfOne: (keys) => meanBytesOf(redis, cache.entryKeys(keys)),
    drop: (keys) => dropValues(redis, cache.entryKeys(keys)),
    isDatabaseWell: () => database.isWell(),
  };
}

function sourceOf<Id>(dataset: Dataset<Id>, database: Database): Source<Id> {
  return { ...dataset, load: (ids) => dataset.load(database, ids) };
}
