/** What a warm-up chooses of a dataset: what people read, part by part, in batches that one statement loads each. */
import { FRESH_HEAD, freshUntilOf } from '../cache/entry.ts';
import type { Warmed } from '../cache/loader.ts';
import type { TieredCache } from '../cache/tiered-cache.ts';
import type { Dataset } from '../datasets/dataset.ts';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { Database } from '../postgres/database.ts';
import { chunksOf } from '../redis/batch.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { readUnfinished } from './hot-keys.ts';
import type { Popular } from './popularity.ts';
import { forgetReads, mostRead, type Ranking, savePopularity } from './ranking.ts';

/** Some keys that one statement loads. */
export type WarmBatch = {
  readonly keys: readonly string[];
  /**
   * Loads and stores them. In between it calls `onLoaded`, from when on the database has no work with them; not if some were
   * warm already.
   */
  warm(signal: AbortSignal, onLoaded: OnLoaded): Promise<Warmed>;
};

type OnLoaded = (loadMs: number) => void;

/** A part of what is to be warmed: what is read more than all that comes after it. */
export type PlanPart = {
  /** The most read first. */
  readonly batches: readonly WarmBatch[];
  /** How many of the keys were chosen because people read them; the others are a guess of the database's. */
  readonly keysFromReads: number;
};

/** Its first part, which is warmed whatever it is worth. */
export type WarmPlan = PlanPart & {
  /** The next part; undefined where all that is left is hardly read. Throws `RedisUnavailableError`, or the reason of `signal`. */
  more(signal?: AbortSignal): Promise<PlanPart | undefined>;
  /** How many batches all parts together may have. */
  readonly batchesMax: number;
  /** What was warmed since then is not warmed again: kept for the next run, if this one comes to no end. */
  readonly beganAtMs: number;
  /** Batches of some of the planned keys. */
  batchesOf(keys: readonly string[], size?: number): WarmBatch[];
  /** Leaves `keys` out of plans until people have read them again. Throws `RedisUnavailableError`. */
  setAside(keys: readonly string[]): Promise<void>;
  /** What a new container should have in its memory, the most read first. */
  readonly hotKeys: readonly string[];
  /** Keeps what was chosen where it survives Redis; the parts after the first are on their way by then. */
  save(): Promise<void>;
};

/**
 * How much is chosen at once, and kept in Postgres as one row. More only as long as people read it, and never a guess of the
 * database's.
 */
const PART_KEYS = 20_000;

/**
 * For this part of the time that warmed entries stay fresh, which is two intervals of the schedule and some, an unfinished
 * warm-up is carried on and not begun anew. What it warmed then outlives the run after the next one.
 */
const CARRIED_ON_SHARE = 0.45;
/** The jitter leaves every warmed entry at least this share of its fresh time. */
const FRESH_SHARE_MIN = 0.9;

type Chosen<Id> = {
  readonly dataset: Dataset<Id>;
  readonly cache: TieredCache<Id>;
  readonly redis: GuardedRedis;
  readonly database: Database;
};

/** What the last run left unfinished is carried on, if it was begun lately. */
export async function makePlan<Id>(chosen: Chosen<Id>): Promise<WarmPlan> {
  const { dataset, redis, database } = chosen;
  const [unfinishedSinceMs, ranking] = await Promise.all([
    readUnfinished(redis, dataset.name),
    mostRead(redis, database, dataset.name),
  ]);
  const nowMs = Date.now();
  const isCarriedOn = isRecent(unfinishedSinceMs, nowMs, dataset.timing.warmFreshMs * CARRIED_ON_SHARE);
  const plan = new Plan(chosen, ranking, isCarriedOn ? unfinishedSinceMs : nowMs, isCarriedOn);
  await plan.begin();
  return plan;
}

class Plan<Id> implements WarmPlan {
  batches: readonly WarmBatch[] = [];
  keysFromReads = 0;
  hotKeys: readonly string[] = [];
  batchesMax = 0;
  readonly beganAtMs: number;
  readonly #isCarriedOn: boolean;
  readonly #chosen: Chosen<Id>;
  readonly #ranking: Ranking;
  /** The first part, without what was set aside. */
  #kept: readonly Popular[] = [];
  /** How many more may be chosen. */
  #left: number;
  /** How many came after the first one, and the last of them on its way into Postgres. */
  #parts = 0;
  #saving: Promise<void> | undefined;

  constructor(chosen: Chosen<Id>, ranking: Ranking, beganAtMs: number, isCarriedOn: boolean) {
    this.#chosen = chosen;
    this.#ranking = ranking;
    this.beganAtMs = beganAtMs;
    this.#isCarriedOn = isCarriedOn;
    this.#left = chosen.dataset.warmIdsMax;
  }

  async begin(): Promise<void> {
    const { dataset } = this.#chosen;
    this.#kept = await this.#takeNext();
    const read = keysOfPopular(dataset, this.#kept);
    const keys = await this.#fillUp(read);
    this.batches = this.batchesOf(keys);
    this.keysFromReads = read.length;
    this.hotKeys = keys.slice(0, dataset.memoryEntriesMax);
    const keysMax = Math.min(dataset.warmIdsMax, Math.max(keys.length, this.#ranking.known));
    this.batchesMax = Math.ceil(keysMax / dataset.warmBatchSize);
  }

  async more(signal?: AbortSignal): Promise<PlanPart | undefined> {
    await this.#saving;
    const popular = await this.#takeNext(signal);
    if (popular.length === 0) return undefined;
    this.#saving = this.#saveBeside(++this.#parts, popular);
    const keys = keysOfPopular(this.#chosen.dataset, popular);
    return { batches: this.batchesOf(keys), keysFromReads: keys.length };
  }

  batchesOf(keys: readonly string[], size = this.#chosen.dataset.warmBatchSize): WarmBatch[] {
    return chunksOf(keys, size).map((some) => ({
      keys: some,
      warm: (signal, onLoaded) =>
        this.#isCarriedOn ? this.#warmRest(some, signal, onLoaded) : this.#warm(some, signal, onLoaded),
    }));
  }

  async setAside(keys: readonly string[]): Promise<void> {
    this.#kept = this.#kept.filter(({ key }) => !keys.includes(key));
    await forgetReads(this.#chosen.redis, this.#chosen.dataset.name, keys);
  }

  async save(): Promise<void> {
    const { database, dataset } = this.#chosen;
    await Promise.all([this.#saving, savePopularity(database, dataset.name, 0, this.#kept)]);
  }

  /** Never rejects: what is warmed does not wait for it, nor end with it. */
  #saveBeside(part: number, popular: readonly Popular[]): Promise<void> {
    const { database, dataset } = this.#chosen;
    return savePopularity(database, dataset.name, part, popular).catch((error) =>
      log.warn('popularity.save_failed', 'A part of the ranking could not be saved.', {
        dataset: dataset.name,
        part,
        error,
      }),
    );
  }

  async #takeNext(signal?: AbortSignal): Promise<Popular[]> {
    const popular = await this.#ranking.next(Math.min(PART_KEYS, this.#left), signal);
    this.#left -= popular.length;
    return popular;
  }

  /** Fills the first part up with what the database thinks that people would read. */
  async #fillUp(read: readonly string[]): Promise<readonly string[]> {
    const { dataset, database } = this.#chosen;
    const keysMax = Math.min(PART_KEYS, dataset.warmIdsMax);
    if (read.length >= keysMax) return read;
    try {
      const guessed = (await dataset.rank(database, keysMax)).map((id) => dataset.key(id));
      return [...new Set([...read, ...guessed])].slice(0, keysMax);
    } catch (error) {
      if (read.length === 0) throw error;
      log.warn(
        'popularity.rank_failed',
        'Postgres could not rank the dataset; only what people have read is warmed.',
        { dataset: dataset.name, error },
      );
      return read;
    }
  }

  #warm(keys: readonly string[], signal: AbortSignal, onLoaded?: OnLoaded): Promise<Warmed> {
    const { dataset, cache } = this.#chosen;
    const ids = keys.map((key) => dataset.idOf(key) as Id);
    return cache.warm(ids, onLoaded ? { signal, onLoaded } : { signal });
  }

  /** Warms those that are not warm yet. How long a part of a batch takes says nothing of the others, so `onLoaded` is not called. */
  async #warmRest(keys: readonly string[], signal: AbortSignal, onLoaded: OnLoaded): Promise<Warmed> {
    const generation = await this.#chosen.cache.currentGeneration();
    const isFresh = await this.#areFresh(keys);
    const rest = keys.filter((_, place) => !isFresh[place]);
    if (rest.length === keys.length) return this.#warm(keys, signal, onLoaded);
    if (rest.length === 0) return { storedKeys: [], absent: 0, newerStored: keys.length, generation };
    const warmed = await this.#warm(rest, signal);
    // Of before it was looked: a clear since then has made invisible what was found.
    return { ...warmed, generation, newerStored: warmed.newerStored + keys.length - rest.length };
  }

  /** Whether each was warmed since the carried-on warm-up was begun, or is fresh for as long. */
  async #areFresh(keys: readonly string[]): Promise<boolean[]> {
    const { dataset, cache, redis } = this.#chosen;
    const freshUntilMs = this.beganAtMs + dataset.timing.warmFreshMs * FRESH_SHARE_MIN - 1;
    const entryKeys = cache.entryKeys(keys);
    const reading = redis.batch(entryKeys, (commands, place) =>
      commands.getrange(entryKeys[place] as string, 0, FRESH_HEAD - 1),
    );
    const heads = await reading.catch((error) => {
      if (error instanceof RedisUnavailableError) throw error;
      return keys.map(() => ''); // something of another type is there, and is replaced
    });
    return heads.map((head) => (freshUntilOf(String(head)) ?? 0) >= freshUntilMs);
  }
}

/** A time that has not come yet is of a clock that was set back. */
function isRecent(atMs: number | undefined, nowMs: number, withinMs: number): atMs is number {
  return atMs !== undefined && atMs <= nowMs && nowMs - atMs <= withinMs;
}

/** The popular keys that are keys of the dataset, in its only spelling, best first. */
function keysOfPopular<Id>(dataset: Dataset<Id>, popular: readonly Popular[]): string[] {
  return popular.flatMap(({ key }) => {
    const id = dataset.idOf(key);
    return id !== undefined && dataset.key(id) === key ? [key] : [];
  });
}
