/**
 * The read path: memory, then Redis, then the source. A hit in memory is found without a promise; a miss everywhere is
 * loaded once, stored in both layers and returned. Values are JSON text from the database to the caller.
 */
import { DatabaseUnavailableError, RedisUnavailableError } from '../errors.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { within } from '../within.ts';
import { Admission } from './admission.ts';
import { type Entry, isEntry, type LeaseMark } from './entry.ts';
import { Generation } from './generation.ts';
import { type Cleared, clearAll, invalidateIds } from './invalidation.ts';
import { Lease, SingleFlight } from './load-once.ts';
import {
  LOAD_JOINABLE_MS,
  Loader,
  type LoadsUnderWay,
  type Missing,
  type Warmed,
  type WarmOptions,
} from './loader.ts';
import { MemoryLayer, type MemoryRead } from './memory-layer.ts';
import { ReadCounts } from './read-counts.ts';
import { type Found, RedisLayer, readEntries } from './redis-layer.ts';
import type { Source } from './source.ts';

/** Where an answer came from; `x-cache` says it to the caller. */
export type Layer = 'l1' | 'hydrated' | 'l2' | 'stale' | 'miss';

/** `json` is the value's text; null says that there is no such thing. */
export type CacheRead = { readonly json: string | null; readonly layer: Layer };

/** Answers by layer, and values in Redis that could not be read (`corrupt`). Plain integers, which the reader sets back to 0. */
export type CacheCounts = Record<Layer | 'corrupt', number>;

/** What a new container wants in its memory, and where Redis has it. */
export type HydrationPlan = {
  readonly keys: readonly string[];
  /** Their names in Redis, in the same order. */
  readonly entryKeys: readonly string[];
  readonly generation: string;
  /** How often something had been forgotten by then; if more was since, the texts may be old. */
  readonly drops: number;
};

/** What neither memory nor Redis has fresh, with what may be answered while it is refreshed. */
type Unanswered<Id> = Missing<Id> & { readonly stale: Entry | undefined };

/** A caller that finds a stale value waits so long for a newer one; everybody else gets the stale one at once. */
const REFRESH_WAIT_MS = 250;

export class TieredCache<Id> {
  readonly #counts: CacheCounts = { l1: 0, hydrated: 0, l2: 0, stale: 0, miss: 0, corrupt: 0 };
  /** What people read; memory's hits come in late, by `takeReads`. */
  readonly #reads = new ReadCounts();
  readonly #source: Source<Id>;
  readonly #guarded: GuardedRedis;
  readonly #memory: MemoryLayer;
  readonly #generation: Generation;
  readonly #redis: RedisLayer;
  readonly #loads: LoadsUnderWay = new SingleFlight(LOAD_JOINABLE_MS);
  readonly #loader: Loader<Id>;
  /** What is made of this dataset. */
  readonly #derived: TieredCache<unknown>[] = [];

  /** `datasets` is how many share the memory of Redis. */
  constructor(source: Source<Id>, guarded: GuardedRedis, datasets = 1) {
    const { name: dataset, schemaVersion, timing } = source;
    this.#source = source;
    this.#guarded = guarded;
    this.#memory = new MemoryLayer({
      entriesMax: source.memoryEntriesMax,
      keepMs: timing.memoryMs,
      onHits: (key, hits, { kind }, origin) => {
        this.#counts[origin] += hits;
        if (kind === 'value') this.#reads.add(key, hits);
      },
    });
    this.#generation = new Generation([this.#memory, this.#loads]);
    this.#redis = new RedisLayer(guarded, this.#generation, this.#memory, {
      dataset,
      schemaVersion,
      stayMaxMs: longestStayMs(timing),
      onCorrupt: (values) => {
        this.#counts.corrupt += values;
      },
    });
    this.#loader = new Loader(source, {
      generation: this.#generation,
      memory: this.#memory,
      redis: this.#redis,
      loads: this.#loads,
      lease: new Lease(guarded, this.#redis),
      admission: new Admission(guarded, {
        dataset,
        datasets,
        takesAnyKey: source.takesAnyKey ?? false,
        valueMs: timing.freshMs + timing.graceMs,
        absentMs: timing.absentMs,
      }),
    });
  }

  get name(): string {
    return this.#source.name;
  }

  /** Whatever is cleared or invalidated here clears `derived` too, which is made of it. */
  clearsToo(derived: TieredCache<unknown>): void {
    this.#derived.push(derived);
  }

  /** The names of all that is cleared when something is cleared or invalidated here. */
  get derivedNames(): readonly string[] {
    return this.#derived.flatMap((derived) => [derived.name, ...derived.derivedNames]);
  }

  /** The value if this container has it in memory and may answer it now; no promise, no I/O. */
  probe(id: Id): CacheRead | undefined {
    return this.#probe(this.#source.key(id));
  }

  /**
   * The value of `id`, from the nearest layer that has it.
   * Throws what the source throws when nothing that may be answered is cached.
   */
  get(id: Id): Promise<CacheRead> {
    const key = this.#source.key(id);
    const inMemory = this.#probe(key);
    return inMemory === undefined ? this.#getFurther(id, key) : Promise.resolve(inMemory);
  }

  /** Answers from Redis, with a generation check when one is due; else from the source, or with what is stale meanwhile. */
  async #getFurther(id: Id, key: string): Promise<CacheRead> {
    const found = await this.#redis.ask(key);
    if (isFreshEntry(found)) return this.#answer('l2', key, found);
    const mark = found?.kind === 'lease' ? found : undefined;
    // The generation check of the same round trip may have confirmed what memory has.
    const inMemory = this.#probe(key);
    if (inMemory !== undefined) {
      await this.#giveBack(mark);
      return inMemory;
    }
    const missing = { id, key, replaces: replacedOf(found), mark };
    const stale = this.#staleOf(key, found);
    return stale === undefined ? this.#load(missing) : this.#refresh(missing, stale);
  }

  /** One load for all who ask; if the database is away, what memory has of it, whatever the last check said. */
  async #load(missing: Missing<Id>): Promise<CacheRead> {
    const { key } = missing;
    try {
      const entry = await this.#loader.load(missing);
      return this.#answer(isFresh(entry) ? 'miss' : 'stale', key, entry);
    } catch (error) {
      const stale = error instanceof DatabaseUnavailableError ? this.#peekStaleUnchecked(key) : undefined;
      if (stale === undefined) throw error;
      return this.#answer('stale', key, stale);
    }
  }

  /** The first caller of all containers refreshes, for a moment; the others, and it after that moment, get what there is. */
  async #refresh(missing: Missing<Id>, stale: Entry): Promise<CacheRead> {
    const { key, mark } = missing;
    if (this.#loads.get(key) === undefined) return this.#firstOf(this.#loader.refresh(missing), key, stale);
    await this.#giveBack(mark);
    return this.#answer('stale', key, stale);
  }

  /**
   * A failure, which is reported where it happens, counts as not in time, because there is something older to answer. What
   * comes later is stored all the same, if the container is not frozen by then.
   */
  async #firstOf(refresh: Promise<Entry | undefined>, key: string, stale: Entry): Promise<CacheRead> {
    const inTime = within(REFRESH_WAIT_MS, refresh).catch(() => undefined);
    const entry = (await inTime) ?? stale;
    return this.#answer(entry !== stale && isFresh(entry) ? 'miss' : 'stale', key, entry);
  }

  /**
   * The values of `ids`, in their order: one MGET for what memory lacks, one statement for what Redis lacks. Throws what
   * the source throws when any of them can neither be loaded nor answered otherwise.
   */
  async getMany(ids: readonly Id[]): Promise<CacheRead[]> {
    const { reads, failure } = await this.getKnown(ids);
    if (failure !== undefined) throw failure;
    return reads as CacheRead[];
  }

  /**
   * The values of `ids`, in their order, undefined for those that cannot be had while the database is away; `failure` says
   * why. Throws what the source throws when it is none of `DatabaseUnavailableError`.
   */
  async getKnown(
    ids: readonly Id[],
  ): Promise<{ reads: (CacheRead | undefined)[]; failure: DatabaseUnavailableError | undefined }> {
    const keys = this.#keysOf(ids);
    if (new Set(keys).size < keys.length) return this.#getRepeated(ids, keys);
    const reads = new Array<CacheRead | undefined>(keys.length).fill(undefined);
    const unanswered = await this.#takeFromLayers(ids, keys, reads);
    if (unanswered.length === 0) return { reads, failure: undefined };
    const { loaded, failure } = await this.#loadMany(unanswered);
    for (const [place, key] of keys.entries()) reads[place] ??= loaded.get(key);
    return { reads, failure };
  }

  /** An id that is named a hundred times is read once: a caller would decide else what people read, and what is warmed. */
  async #getRepeated(ids: readonly Id[], keys: readonly string[]) {
    const distinct = new Map(keys.map((key, place) => [key, ids[place] as Id]));
    const { reads, failure } = await this.getKnown([...distinct.values()]);
    const byKey = new Map([...distinct.keys()].map((key, place) => [key, reads[place]]));
    return { reads: keys.map((key) => byKey.get(key)), failure };
  }

  /** Puts what memory and Redis have fresh into its place in `reads`, and answers what is left. */
  async #takeFromLayers(
    ids: readonly Id[],
    keys: readonly string[],
    reads: (CacheRead | undefined)[],
  ): Promise<Unanswered<Id>[]> {
    const left: (Unanswered<Id> | undefined)[] = [];
    const takeFromRedis = async (places: readonly number[]) => {
      const entries = await this.#redis.askForMany(places.map((place) => keys[place] as string));
      for (const [index, place] of places.entries()) {
        const found = entries[index];
        const key = keys[place] as string;
        if (isFreshEntry(found)) reads[place] = this.#answer('l2', key, found);
        else
          left[place] = {
            id: ids[place] as Id,
            key,
            replaces: replacedOf(found),
            stale: this.#staleOf(key, found),
          };
      }
    };
    const asked = this.#memory.placesWithout(keys, this.#generation.nowMs());
    await takeFromRedis(asked);
    if (asked.length < keys.length) {
      for (const [place, key] of keys.entries()) reads[place] ??= this.#probe(key);
      // The generation check of the same round trip may have dropped what memory had.
      const dropped = [...keys.keys()].filter(
        (place) => reads[place] === undefined && !asked.includes(place),
      );
      await takeFromRedis(dropped);
    }
    return left.filter((one, place) => one !== undefined && reads[place] === undefined) as Unanswered<Id>[];
  }

  /** One statement for what this container is the one to load; the others' is waited for, unless there is a stale value. */
  async #loadMany(
    unanswered: readonly Unanswered<Id>[],
  ): Promise<{ loaded: ReadonlyMap<string, CacheRead>; failure: DatabaseUnavailableError | undefined }> {
    const loaded = new Map<string, CacheRead>();
    let failure: DatabaseUnavailableError | undefined;
    const owned = await this.#loader.loadMany(unanswered);
    const read = (one: Unanswered<Id>): Promise<CacheRead> | CacheRead => {
      const { key, stale } = one;
      if (stale === undefined) return this.#load(one);
      const refresh = owned.has(key) ? this.#loads.get(key) : undefined;
      return refresh === undefined ? this.#answer('stale', key, stale) : this.#firstOf(refresh, key, stale);
    };
    const readOrNot = async (one: Unanswered<Id>) => {
      try {
        loaded.set(one.key, await read(one));
      } catch (error) {
        if (!(error instanceof DatabaseUnavailableError)) throw error;
        failure = error;
      }
    };
    await Promise.all(unanswered.map(readOrNot));
    return { loaded, failure };
  }

  /** Loads `ids` and stores them as a warm-up does; see `Loader.warm`. Throws `RedisUnavailableError` without Redis. */
  async warm(ids: readonly Id[], options: WarmOptions = {}): Promise<Warmed> {
    await this.#checkGenerationOrThrow();
    return this.#loader.warm(ids, options);
  }

  /**
   * Nothing that was loaded before this call is answered by this container after it, and by no other one second later.
   * Throws `RedisUnavailableError`: it is then not known to be done, and must be tried again.
   */
  async clear(): Promise<Cleared> {
    const cleared = await clearAll(this.#guarded, this.name, this.#generation.current);
    this.#generation.raise(cleared.generation);
    await this.#clearDerived();
    return cleared;
  }

  /**
   * Nothing that was read of `ids` before this call is answered by this container after it, and by no other one second
   * later. `atUs` is the database's clock after the change was committed.
   * Throws `RedisUnavailableError`: the caches then do not know of the change, and the call must be repeated.
   */
  async invalidate(ids: readonly Id[], atUs: number): Promise<void> {
    await this.#checkGenerationOrThrow();
    const keys = this.#keysOf(ids);
    await invalidateIds(this.#guarded, this.name, this.#generation, keys, atUs);
    for (const key of keys) this.#generation.forget(key);
    await this.#clearDerived();
  }

  /** What was answered from where, since this was last set back. */
  get counts(): CacheCounts {
    this.#memory.flushHitCounts();
    return this.#counts;
  }

  /** The keys that were answered since the last time this was asked, with how often; a bounded number of them. */
  takeReads(): ReadonlyMap<string, number> {
    this.#memory.flushHitCounts();
    return this.#reads.take();
  }

  /** Whether so many keys are counted that they should be taken now: soon no new key is counted. */
  get hasManyReads(): boolean {
    return this.#reads.hasMany;
  }

  /** Asks Redis what counts now; false when it does not answer. */
  checkGeneration(): Promise<boolean> {
    return this.#redis.checkGeneration();
  }

  /** What counts now: entries that were stored under another generation are not seen. Throws `RedisUnavailableError`. */
  async currentGeneration(): Promise<string> {
    await this.#checkGenerationOrThrow();
    return this.#generation.current;
  }

  /** The keys in Redis of the entries of `keys`, under the generation that this container knows. */
  entryKeys(keys: readonly string[]): string[] {
    return keys.map((key) => this.#redis.entryKey(key));
  }

  /**
   * The first half of filling memory before the first request: where Redis has what should be in it. Call it after a
   * check, so that what is read then is not older than the check.
   */
  planHydration(keys: readonly string[]): HydrationPlan {
    const { current: generation, drops } = this.#generation;
    const planned = keys.slice(0, this.#source.memoryEntriesMax);
    return { keys: planned, entryKeys: this.entryKeys(planned), generation, drops };
  }

  /**
   * The second half: puts the `texts` that Redis has under `plan.entryKeys` into memory, the first of them as the most recently
   * used, and answers how many were of use. Nothing, when a clear or an invalidation was noticed meanwhile: they may be older.
   */
  hydrate(plan: HydrationPlan, texts: readonly (string | null)[]): number {
    if (!this.#generation.isUndisturbed(plan) || plan.generation !== this.#generation.current) return 0;
    const { found, corrupt } = readEntries(plan.entryKeys, texts);
    this.#counts.corrupt += corrupt;
    const nowMs = this.#generation.nowMs();
    let filled = 0;
    for (let place = found.length - 1; place >= 0; place--) {
      const entry = found[place];
      if (entry?.kind !== 'value' || nowMs >= entry.freshUntilMs) continue;
      this.#memory.set(plan.keys[place] as string, entry, nowMs, 'hydrated');
      filled++;
    }
    return filled;
  }

  /** What memory has is answered only while a recent generation check says that it still counts. */
  #probe(key: string): MemoryRead | undefined {
    const nowMs = this.#generation.nowMs();
    return this.#generation.isRecent(nowMs) ? this.#memory.get(key, nowMs) : undefined;
  }

  /** What may be answered until there is something newer: what Redis has, or else what memory has. */
  #staleOf(key: string, found: Found): Entry | undefined {
    if (isEntry(found) && found.kind !== 'tombstone') return found;
    const nowMs = this.#generation.nowMs();
    return this.#generation.isRecent(nowMs) ? this.#memory.getStale(key, nowMs) : undefined;
  }

  /** What memory has, whatever the last check said: for when neither Redis nor the database can be asked. */
  #peekStaleUnchecked(key: string): Entry | undefined {
    return this.#memory.getStale(key, this.#generation.nowMs());
  }

  /** Counts the answer by its layer, and its key as read if it has a value: a search for nothing says nothing about what people read. */
  #answer(layer: Layer, key: string, entry: Entry): CacheRead {
    this.#counts[layer]++;
    if (entry.kind === 'value') this.#reads.add(key, 1);
    return { json: entry.json, layer };
  }

  async #giveBack(mark: LeaseMark | undefined): Promise<void> {
    if (mark !== undefined) await this.#loader.giveBack(mark);
  }

  /** One after the other: each may wait for the replicas. */
  async #clearDerived(): Promise<void> {
    for (const derived of this.#derived) await derived.clear();
  }

  #keysOf(ids: readonly Id[]): string[] {
    return ids.map((id) => this.#source.key(id));
  }

  async #checkGenerationOrThrow(): Promise<void> {
    if (await this.checkGeneration()) return;
    throw new RedisUnavailableError('Redis did not report the generation.');
  }
}

/** What a load replaces in Redis; a lease there is replaced anyway. */
function replacedOf(found: Found): Missing<never>['replaces'] {
  if (!isEntry(found)) return undefined;
  return found.kind === 'tombstone' ? 'tombstone' : 'stale';
}

function isFreshEntry(found: Found): found is Entry {
  return isEntry(found) && found.kind !== 'tombstone' && isFresh(found);
}

function longestStayMs({ freshMs, warmFreshMs, graceMs, absentMs }: Source<never>['timing']): number {
  return Math.max(freshMs, warmFreshMs, absentMs) + graceMs;
}

function isFresh(entry: Entry): boolean {
  return Date.now() < entry.freshUntilMs;
}
