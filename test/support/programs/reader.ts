/** A container's cache of users in a process of its own: to be told what to do. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Source } from '../../../shared/cache/source.ts';
import { TieredCache } from '../../../shared/cache/tiered-cache.ts';
import { users } from '../../../shared/datasets/users.ts';
import { environment } from '../../../shared/environment.ts';
import { setLogLevel } from '../../../shared/logger.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';
import { offer } from './offer.ts';

type CacheOptions = {
  readonly timing?: Partial<Source<number>['timing']>;
  /** How long a load goes on after it has read the rows. */
  readonly loadDelayMs?: number;
};
/** One text that was answered, and when the first and the last read that it answered began. */
export type Sighting = { readonly json: string | null; readonly firstAtMs: number; lastAtMs: number };

export type ReaderActions = typeof actions;

const CONNECT_TIMEOUT_MS = 10_000;
/** Between two reads of one `watch`. */
const WATCH_APART_MS = 5;

/**
 * Five times a request's limit, so that a busy machine does not make a Redis look away that is well; and short enough that
 * an outage is believed for longer.
 */
const GUARD = { ...REQUEST_GUARD, timeoutMs: 500 };

const redis = new GuardedRedis(environment.redisUrl(), GUARD);
const database = new Database(environment.databaseUrl());
let loads = 0;
let gate:
  | { readonly held: PromiseWithResolvers<void>; readonly open: PromiseWithResolvers<void> }
  | undefined;
let cache = openCache({});
/** When the watches that are under way end. */
let watchUntilMs = Number.POSITIVE_INFINITY;

function openCache({ timing, loadDelayMs = 0 }: CacheOptions): TieredCache<number> {
  loads = 0;
  const load = async (ids: readonly number[]) => {
    loads++;
    const loaded = await users.load(database, ids);
    gate?.held.resolve();
    await gate?.open.promise;
    if (loadDelayMs > 0) await sleep(loadDelayMs);
    return loaded;
  };
  return new TieredCache({ ...users, timing: { ...users.timing, ...timing }, load }, redis);
}

function note(sightings: Sighting[], json: string | null, atMs: number): void {
  const seen = sightings.find((sighting) => sighting.json === json);
  if (seen === undefined) sightings.push({ json, firstAtMs: atMs, lastAtMs: atMs });
  else seen.lastAtMs = atMs;
}

const actions = {
  /** A new container: nothing in memory, nothing known of the generation, no load counted. */
  open: (options: CacheOptions) => {
    actions.releaseLoads();
    cache = openCache(options);
  },
  probe: (id: number) => cache.probe(id),
  get: (id: number) => cache.get(id),
  getTimes: (id: number, times: number) => Promise.all(Array.from({ length: times }, () => cache.get(id))),
  getMany: (ids: readonly number[]) => cache.getMany(ids),
  warm: (ids: readonly number[]) => cache.warm(ids),
  invalidate: (ids: readonly number[], atUs: number) => cache.invalidate(ids, atUs),
  clear: () => cache.clear(),
  counts: () => cache.counts,
  loads: () => loads,
  /** Loads stop between reading the rows and storing them, until they are released. */
  holdLoads: () => {
    gate = { held: Promise.withResolvers(), open: Promise.withResolvers() };
  },
  /** Resolves when a load has read its rows and stopped. */
  untilHeld: () => gate?.held.promise,
  releaseLoads: () => {
    gate?.open.resolve();
    gate = undefined;
  },
  /** Reads without end until the time that `endWatches` names, and once after it, as a busy container does. */
  watch: async (id: number) => {
    watchUntilMs = Number.POSITIVE_INFINITY;
    const sightings: Sighting[] = [];
    for (let atMs = 0; atMs <= watchUntilMs; await sleep(WATCH_APART_MS)) {
      atMs = Date.now();
      note(sightings, (cache.probe(id) ?? (await cache.get(id))).json, atMs);
    }
    return sightings;
  },
  endWatches: (atMs: number) => {
    watchUntilMs = atMs;
  },
};

setLogLevel(environment.logLevel());
await Promise.all([redis.connect(CONNECT_TIMEOUT_MS), database.nowUs()]);
offer(actions);
