/**
 * The read path: memory, then Redis, then the source. A hit in memory is found without a promise; a miss everywhere is
 * loaded once, stored in both layers and returned. Values are JSON text from the database to the caller.
 */
import { DatabaseUnavailableError, RedisUnavailableError } from '../errors.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { within } from '../within.ts';
import { Admission } from './admission.ts';
import type { Entry, LeaseMark } from './entry.ts';
import { type HydrationPlan, Layers } from './layers.ts';
import { Lease } from './lease.ts';
import { Loader, type Stored, type Warmed, type WarmOptions } from './loader.ts';
import type { Cleared } from './redis-layer.ts';
import type { Source } from './source.ts';

/** Where an answer came from; `x-cache` says it to the caller. */
export type Layer = 'l1' | 'hydrated' | 'l2' | 'stale' | 'miss';

/** `json` is the value's text; null says that there is no such thing. */
export type CacheRead = { readonly json: string | null; readonly layer: Layer };

/** Plain integers, which whoever takes them sets back to 0. */
export type CacheCounts = Record<Layer | 'corrupt', number>;

/** Of several keys, what may be answered if nothing newer can be had, and what a load replaces in Redis. */
type Left = { readonly stale: Map<string, Entry>; readonly stored: Map<string, 'stale' | 'tombstone'> };

const NOTHING_STORED: Stored = new Map();

/** A caller that finds a stale value waits so long for a newer one; everybody else gets the stale one at once. */
const REFRESH_WAIT_MS = 250;

export class TieredCache<Id> {
  readonly #counts: CacheCounts = { l1: 0, hydrated: 0, l2: 0, stale: 0, miss: 0, corrupt: 0 };
  readonly #source: Source<Id>;
  readonly #layers: Layers;
  readonly #loader: Loader<Id>;
  /** What is made of this dataset. */
  readonly #derived: TieredCache<unknown>[] = [];

  /** `datasets` is how many share the memory of Redis. */
  constructor(source: Source<Id>, redis: GuardedRedis, datasets = 1) {
    this.#source = source;
    this.#layers = new Layers(redis, {
      dataset: source.name,
      schemaVersion: source.schemaVersion,
      memoryEntriesMax: source.memoryEntriesMax,
      memoryMs: source.timing.memoryMs,
      redisMs: longestStayMs(source.timing),
      onHits: (origin, hits) => {
        this.#counts[origin] += hits;
      },
      onDropped: (key) => this.#loader.forget(key),
      onCorrupt: (values) => {
        this.#counts.corrupt += values;
      },
    });
    const admission = new Admission(redis, {
      dataset: source.name,
      datasets,
      takesAnyKey: source.takesAnyKey ?? false,
      valueMs: source.timing.freshMs + source.timing.graceMs,
      absentMs: source.timing.absentMs,
    });
    this.#loader = new Loader(source, this.#layers, new Lease(redis), admission);
  }

  /** What was answered from where, since this was last set back. */
  get counts(): CacheCounts {
    this.#layers.flushHitCounts();
    return this.#counts;
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
    return this.#layers.probe(this.#source.key(id));
  }

  /**
   * The value of `id`, from the nearest layer that has it.
   * Throws what the source throws when nothing that may be answered is cached.
   */
  get(id: Id): Promise<CacheRead> {
    const key = this.#source.key(id);
    const inMemory = this.#layers.probe(key);
    return inMemory === undefined ? this.#getFurther(id, key) : Promise.resolve(inMemory);
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
   * The values of `ids`, in their order, undefined for those that cannot be had while the database is away; `failure` says why. Throws what
   * the source throws when it is none of `DatabaseUnavailableError`.
   */
  async getKnown(
    ids: readonly Id[],
  ): Promise<{ reads: (CacheRead | undefined)[]; failure: DatabaseUnavailableError | undefined }> {
    const keys = this.#keysOf(ids);
    if (new Set(keys).size < keys.length) return this.#getRepeated(ids, keys);
    const reads = new Array<CacheRead | undefined>(keys.length).fill(undefined);
    const left = await this.#takeFromLayers(keys, reads);
    if (!reads.includes(undefined)) return { reads, failure: undefined };
    const lacking = new Map<string, Id>();
    for (const [place, key] of keys.entries())
      if (reads[place] === undefined) lacking.set(key, ids[place] as Id);
    const { loaded, failure } = await this.#loadMany(lacking, left);
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
    const cleared = await this.#layers.clear();
    await this.#clearDerived();
    return cleared;
  }

  /**
   * Nothing that was read of `ids` before this call is answered by this container after it, and by no other one second
   * later. `atUs` is the database's clock after the change was committed.
   * Throws `RedisUnavailableError`: the change is then not known to the caches, and must be told again.
   */
  async invalidate(ids: readonly Id[], atUs: number): Promise<void> {
    await this.#checkGenerationOrThrow();
    await this.#layers.invalidate(this.#keysOf(ids), atUs);
    await this.#clearDerived();
  }

  /** The keys that were answered since the last time this was asked, with how often; a bounded number of them. */
  takeReads(): ReadonlyMap<string, number> {
    return this.#layers.takeReads();
  }

  /** So many that they should be taken now: soon no new key is counted until they are. */
  get hasManyReads(): boolean {
    return this.#layers.hasManyReads;
  }

  /** Asks Redis what counts now; false when it does not answer. */
  checkGeneration(): Promise<boolean> {
    return this.#layers.checkGeneration();
  }

  /** What counts now: entries that were stored under another generation are not seen. Throws `RedisUnavailableError`. */
  async currentGeneration(): Promise<string> {
    await this.#checkGenerationOrThrow();
    return this.#layers.generation;
  }

  /** Where Redis has `keys`, as far as this container knows. */
  entryKeys(keys: readonly string[]): string[] {
    return keys.map((key) => this.#layers.entryKey(key));
  }

  /** The first half of filling memory before the first request, after a check: where Redis has what should be in it. */
  planHydration(keys: readonly string[]): HydrationPlan {
    return this.#layers.planHydration(keys.slice(0, this.#source.memoryEntriesMax));
  }

  /** The second half: `texts` is what Redis has under `plan.entryKeys`. Answers how many entries were of use. */
  hydrate(plan: HydrationPlan, texts: readonly (string | null)[]): number {
    return this.#layers.hydrate(plan, texts);
  }

  /** One after the other: each may wait for the replicas. */
  async #clearDerived(): Promise<void> {
    for (const derived of this.#derived) await derived.clear();
  }

  /** A search for what does not exist says nothing about what people read. */
  #answer(layer: Layer, key: string, entry: Entry): CacheRead {
    this.#counts[layer]++;
    if (entry.kind === 'value') this.#layers.countRead(key);
    return { json: entry.json, layer };
  }

  #keysOf(ids: readonly Id[]): string[] {
    return ids.map((id) => this.#source.key(id));
  }

  async #checkGenerationOrThrow(): Promise<void> {
    if (await this.checkGeneration()) return;
    throw new RedisUnavailableError('Redis did not report the generation.');
  }

  async #getFurther(id: Id, key: string): Promise<CacheRead> {
    const found = await this.#layers.ask(key);
    if (found?.kind === 'lease') return this.#getUnstored(id, key, found);
    const inRedis = found?.kind === 'tombstone' ? undefined : found;
    if (inRedis !== undefined && isFresh(inRedis)) return this.#answer('l2', key, inRedis);
    const stored: Stored = new Map(found === undefined ? [] : [[key, replacedOf(found)]]);
    if (inRedis === undefined) return this.#getUnstored(id, key, undefined, stored);
    return this.#serveStale(id, key, inRedis, stored);
  }

  /** Redis does not have it, or did not answer: the generation check of the same round trip may have confirmed the memory's. */
  async #getUnstored(
    id: Id,
    key: string,
    mark: LeaseMark | undefined,
    stored: Stored = NOTHING_STORED,
  ): Promise<CacheRead> {
    const confirmed = this.#layers.probe(key);
    if (confirmed !== undefined) {
      if (mark !== undefined) await this.#loader.giveBack(mark);
      return confirmed;
    }
    const stale = this.#layers.peekStale(key);
    if (stale === undefined) return this.#loadMissing(id, key, stored, mark);
    return this.#serveStale(id, key, stale, stored, mark);
  }

  async #loadMissing(id: Id, key: string, stored: Stored, mark?: LeaseMark): Promise<CacheRead> {
    try {
      const entry = await this.#loader.load(id, key, stored, mark);
      return this.#answer(isFresh(entry) ? 'miss' : 'stale', key, entry);
    } catch (error) {
      const peekStaleUnchecked =
        error instanceof DatabaseUnavailableError ? this.#layers.peekStaleUnchecked(key) : undefined;
      if (peekStaleUnchecked === undefined) throw error;
      return this.#answer('stale', key, peekStaleUnchecked);
    }
  }

  /** The first caller of all containers refreshes, for a moment; the others, and it after that moment, get what there is. */
  async #serveStale(id: Id, key: string, stale: Entry, stored: Stored, mark?: LeaseMark): Promise<CacheRead> {
    if (this.#loader.underWay(key) === undefined)
      return this.#firstOf(this.#loader.refresh(id, key, stored, mark), key, stale);
    if (mark !== undefined) await this.#loader.giveBack(mark);
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

  /** Puts what memory and Redis have fresh into its place in `reads`, and answers what they have else. */
  async #takeFromLayers(keys: readonly string[], reads: (CacheRead | undefined)[]): Promise<Left> {
    const left: Left = { stale: new Map(), stored: new Map() };
    const asked = this.#layers.notInMemory(keys);
    await this.#takeFromRedis(keys, asked, reads, left);
    if (asked.length === keys.length) return left;
    for (const [place, key] of keys.entries()) reads[place] ??= this.#layers.probe(key);
    // The generation check of the same round trip may have dropped what memory had.
    const dropped = [...keys.keys()].filter((place) => reads[place] === undefined && !asked.includes(place));
    await this.#takeFromRedis(keys, dropped, reads, left);
    return left;
  }

  async #takeFromRedis(
    keys: readonly string[],
    places: readonly number[],
    reads: (CacheRead | undefined)[],
    { stale, stored }: Left,
  ): Promise<void> {
    const entries = await this.#layers.askForMany(places.map((place) => keys[place] as string));
    const nowMs = Date.now();
    for (let index = 0; index < places.length; index++) {
      const place = places[index] as number;
      const key = keys[place] as string;
      const one = entries[index];
      const found = one?.kind === 'lease' ? undefined : one;
      if (found !== undefined && found.kind !== 'tombstone' && nowMs < found.freshUntilMs) {
        reads[place] = this.#answer('l2', key, found);
        continue;
      }
      if (found !== undefined) stored.set(key, replacedOf(found));
      const old = found === undefined || found.kind === 'tombstone' ? this.#layers.peekStale(key) : found;
      if (old !== undefined) stale.set(key, old);
    }
  }

  /** One statement for what this container is the one to load; the others' is waited for, unless there is a stale value. */
  async #loadMany(
    lacking: ReadonlyMap<string, Id>,
    { stale, stored }: Left,
  ): Promise<{ loaded: ReadonlyMap<string, CacheRead>; failure: DatabaseUnavailableError | undefined }> {
    const loaded = new Map<string, CacheRead>();
    let failure: DatabaseUnavailableError | undefined;
    const led = await this.#loader.loadMissing(lacking, stored);
    const read = (key: string, id: Id): Promise<CacheRead> | CacheRead => {
      const old = stale.get(key);
      if (old === undefined) return this.#loadMissing(id, key, stored);
      const refresh = led.has(key) ? this.#loader.underWay(key) : undefined;
      return refresh === undefined ? this.#answer('stale', key, old) : this.#firstOf(refresh, key, old);
    };
    const readOrNot = async ([key, id]: [string, Id]) => {
      try {
        loaded.set(key, await read(key, id));
      } catch (error) {
        if (!(error instanceof DatabaseUnavailableError)) throw error;
        failure = error;
      }
    };
    await Promise.all([...lacking].map(readOrNot));
    return { loaded, failure };
  }
}

/** What a load replaces in Redis; what only memory has is nothing there. */
function replacedOf({ kind }: Entry): 'stale' | 'tombstone' {
  return kind === 'tombstone' ? kind : 'stale';
}

function longestStayMs({ freshMs, warmFreshMs, graceMs, absentMs }: Source<never>['timing']): number {
  return Math.max(freshMs, warmFreshMs, absentMs) + graceMs;
}

function isFresh(entry: Entry): boolean {
  return Date.now() < entry.freshUntilMs;
}
