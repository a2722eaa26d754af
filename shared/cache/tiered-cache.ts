/**
 * The read path: memory, then Redis, then the source. A hit in memory is found without a promise; a miss everywhere is
 * loaded once, stored in both layers and returned. Values are JSON text from the database to the caller.
 */
import { DatabaseUnavailableError, RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import type { Entry } from './entry.ts';
import { Generation, INVALIDATIONS_KEPT_MS, type Look } from './generation.ts';
import { Lease } from './lease.ts';
import { MemoryLayer } from './memory-layer.ts';
import { type Cleared, RedisLayer } from './redis-layer.ts';
import { SingleFlight } from './single-flight.ts';
import type { LoadedBatch, Source } from './source.ts';

/** Where an answer came from; `x-cache` says it to the caller. */
export type Layer = 'l1' | 'hydrated' | 'l2' | 'stale' | 'miss';

/** `json` is the value's text; null says that there is no such thing. */
export type CacheRead = { readonly json: string | null; readonly layer: Layer };

/** Plain integers: an increment is all that a hit pays for being counted. */
export type CacheCounts = Record<Layer | 'corrupt', number>;

export type Warmed = { readonly stored: number; readonly newerStored: number };

/** A caller that finds a stale value waits so long for a newer one; everybody else gets the stale one at once. */
const REFRESH_WAIT_MS = 250;
/** A load that was overtaken by an invalidation is repeated; more often than this would mean one per load. */
const RELOADS_MAX = 3;
/** A load that took longer, by the wall clock, is not stored: half of what a tombstone lives. */
const LOAD_KEPT_MS = INVALIDATIONS_KEPT_MS / 2;
/** Entries that were stored together must not expire together: each lives up to this share shorter. */
const JITTER = 0.1;

export class TieredCache<Id> {
  readonly counts: CacheCounts = { l1: 0, hydrated: 0, l2: 0, stale: 0, miss: 0, corrupt: 0 };
  readonly #source: Source<Id>;
  readonly #memory: MemoryLayer;
  readonly #redis: RedisLayer;
  readonly #lease: Lease;
  readonly #generation = new Generation();
  readonly #lookUps = new SingleFlight<Entry | undefined>();
  readonly #loads = new SingleFlight<Entry>();
  /** Raised whenever something in memory turned out to be old: a load that began before must not put it back. */
  #drops = 0;

  constructor(source: Source<Id>, redis: GuardedRedis) {
    this.#source = source;
    this.#memory = new MemoryLayer({ entriesMax: source.memoryEntriesMax, keepMs: source.timing.memoryMs });
    this.#redis = new RedisLayer(redis, source.name, source.schemaVersion);
    this.#lease = new Lease(redis);
  }

  /** The value if this container has it in memory and may answer it now; no promise, no I/O. */
  probe(id: Id): CacheRead | undefined {
    return this.#probeKey(this.#source.key(id));
  }

  /**
   * The value of `id`, from the nearest layer that has it.
   * Throws what the source throws when nothing that may be answered is cached.
   */
  async get(id: Id): Promise<CacheRead> {
    const key = this.#source.key(id);
    const inMemory = this.#probeKey(key);
    if (inMemory !== undefined) return inMemory;
    const inRedis = await this.#lookUp(key);
    if (inRedis === undefined) {
      // Redis does not have it, or did not answer: the look made in the same round trip may have confirmed the memory's.
      return this.#probeKey(key) ?? this.#loadMissing(id, key);
    }
    return isFresh(inRedis) ? this.#count('l2', inRedis) : this.#serveStale(id, key, inRedis);
  }

  /** The values of `ids`, in their order: one MGET for what memory lacks, one statement for what Redis lacks. */
  async getMany(ids: readonly Id[]): Promise<CacheRead[]> {
    const reads = new Map<string, CacheRead>();
    const wanted = new Map(ids.map((id) => [this.#source.key(id), id]));
    if (!this.#generation.isRecent(Date.now())) await this.#look();
    this.#takeFromMemory(wanted, reads);
    await this.#takeFromRedis(wanted, reads);
    await this.#takeFromSource(wanted, reads);
    return ids.map((id) => reads.get(this.#source.key(id)) as CacheRead);
  }

  /** Loads `ids` with one statement and stores them as a warm-up does, fresh for longer; what is newer already stays. */
  async warm(ids: readonly Id[], signal?: AbortSignal): Promise<Warmed> {
    const generation = await this.#currentGeneration();
    const loaded = await this.#source.load(ids);
    // Between the load and the write is the last moment at which an owner that lost its lock can still hold back.
    signal?.throwIfAborted();
    const keys = ids.map((id) => this.#source.key(id));
    const entries = this.#entriesOf(loaded, this.#source.timing.warmFreshMs);
    const instead = await this.#redis.put(generation, keys, entries, Date.now());
    if (instead === undefined) throw new RedisUnavailableError('Redis did not take what was loaded for it.');
    const newerStored = instead.filter((entry) => entry !== null).length;
    return { stored: ids.length - newerStored, newerStored };
  }

  /** Nothing that was loaded before this call is answered by this container after it, and by no other one second later. */
  async clear(): Promise<Cleared> {
    const cleared = await this.#redis.clear();
    await this.#look();
    return cleared;
  }

  /**
   * The same for `ids` only. `atUs` is the database's clock after the change was committed.
   * Throws `RedisUnavailableError`: the change is then not known to the caches, and must be told again.
   */
  async invalidate(ids: readonly Id[], atUs: number): Promise<void> {
    const keys = ids.map((id) => this.#source.key(id));
    await this.#redis.invalidate(await this.#currentGeneration(), keys, atUs, Date.now());
    for (const key of keys) this.#drop(key);
  }

  get name(): string {
    return this.#source.name;
  }

  #probeKey(key: string): CacheRead | undefined {
    const nowMs = Date.now();
    if (!this.#generation.isRecent(nowMs)) return undefined;
    const found = this.#memory.get(key, nowMs);
    return found === undefined ? undefined : this.#count(found.origin, found.entry);
  }

  #count(layer: Layer, entry: Entry): CacheRead {
    this.counts[layer]++;
    return { json: entry.json, layer };
  }

  /**
   * One round trip for all who ask for `key` at once. It takes a command's time limit at most, so what it finds is not
   * older than the promise of a clear allows; who joins a load, which may take longer, has come through here before.
   */
  #lookUp(key: string): Promise<Entry | undefined> {
    return this.#lookUps.run(key, () => this.#askRedis(key));
  }

  async #askRedis(key: string, isRepeated = false): Promise<Entry | undefined> {
    const [entry] = await this.#askRedisForMany([key], isRepeated);
    return entry;
  }

  /** Asks again when the look in the same round trip shows that the keys were of an older generation. */
  async #askRedisForMany(
    keys: readonly string[],
    isRepeated = false,
  ): Promise<readonly (Entry | undefined)[]> {
    const askedAtMs = Date.now();
    const generation = this.#generation.current;
    const sinceMs = this.#generation.isRecent(askedAtMs) ? undefined : this.#generation.sinceMs;
    const { look, entries, corrupt } = await this.#redis.lookUp(generation, keys, sinceMs);
    if (!isRepeated) this.counts.corrupt += corrupt;
    if (sinceMs !== undefined) this.#heed(look, askedAtMs);
    if (generation !== this.#generation.current) return this.#askRedisForMany(keys, isRepeated);
    const nowMs = Date.now();
    return entries.map((entry, index) => this.#usable(keys[index] as string, entry, nowMs));
  }

  #usable(key: string, entry: Entry | undefined, nowMs: number): Entry | undefined {
    if (entry === undefined || nowMs >= entry.staleUntilMs) return undefined;
    // A stale one is remembered too: not answered from memory, but there if the database is away.
    this.#memory.set(key, entry, nowMs);
    return entry;
  }

  /** Answers whether Redis could be asked. */
  async #look(): Promise<boolean> {
    const askedAtMs = Date.now();
    const { look } = await this.#redis.lookUp(this.#generation.current, [], this.#generation.sinceMs);
    this.#heed(look, askedAtMs);
    return look !== undefined;
  }

  #heed(look: Look | undefined, askedAtMs: number): void {
    if (look === undefined) {
      this.#generation.skipLook(Date.now());
      return;
    }
    const change = this.#generation.accept(look, askedAtMs);
    if (change === 'all') this.#dropAll();
    if (change === 'ids') for (const key of look.invalidatedIds) this.#drop(key);
  }

  #drop(key: string): void {
    this.#drops++;
    this.#memory.delete(key);
    this.#lookUps.forget(key);
    this.#loads.forget(key);
  }

  #dropAll(): void {
    this.#drops++;
    this.#memory.clear();
    this.#lookUps.forgetAll();
    this.#loads.forgetAll();
  }

  /** For writers: the generation as Redis has it now, because one that was looked at earlier, or never, may be wrong. */
  async #currentGeneration(): Promise<string> {
    if (!(await this.#look())) throw new RedisUnavailableError('Redis did not tell the generation.');
    return this.#generation.current;
  }

  async #loadMissing(id: Id, key: string): Promise<CacheRead> {
    try {
      const entry = await this.#loads.run(key, () => this.#loadAsLeader(id, key));
      return this.#count(isFresh(entry) ? 'miss' : 'stale', entry);
    } catch (error) {
      const stale = this.#memory.getStale(key, Date.now());
      if (stale === undefined || !(error instanceof DatabaseUnavailableError)) throw error;
      return this.#count('stale', stale);
    }
  }

  /** The first caller of all containers refreshes, for a moment; the others, and it after that moment, get what there is. */
  async #serveStale(id: Id, key: string, stale: Entry): Promise<CacheRead> {
    if (this.#loads.get(key) !== undefined) return this.#count('stale', stale);
    const refresh = this.#loads.run(key, () =>
      this.#lease.leadOrYield(this.#leaseKey(key), () => this.#load(id, key), stale),
    );
    const refreshed = await within(REFRESH_WAIT_MS, refresh);
    return refreshed === undefined || refreshed === stale
      ? this.#count('stale', stale)
      : this.#count('miss', refreshed);
  }

  #leaseKey(key: string): string {
    return this.#redis.entryKey(this.#generation.current, key);
  }

  #loadAsLeader(id: Id, key: string): Promise<Entry> {
    return this.#lease.leadOrWait(
      this.#leaseKey(key),
      () => this.#load(id, key),
      async () => {
        const stored = await this.#askRedis(key, true);
        return stored !== undefined && isFresh(stored) ? stored : undefined;
      },
    );
  }

  async #load(id: Id, key: string): Promise<Entry> {
    const [entry] = await this.#loadAndStore([id], [key]);
    return entry as Entry;
  }

  /**
   * Loads and stores, and answers what is stored then. The interleaving that the repetition closes, for one id:
   *   1. this load reads the row (old)      3. the owner invalidates: a tombstone
   *   2. the owner commits the new row      4. this write is refused; a caller who came after 3 may be waiting for it
   */
  async #loadAndStore(ids: readonly Id[], keys: readonly string[], reloads = 0): Promise<Entry[]> {
    const [generation, drops, beganAtMs] = [this.#generation.current, this.#drops, Date.now()];
    const loaded = this.#entriesOf(await this.#source.load(ids), this.#source.timing.freshMs);
    // The container was frozen meanwhile: a tombstone that would refuse this may have run out.
    if (Date.now() - beganAtMs > LOAD_KEPT_MS) return loaded;
    const instead = await this.#redis.put(generation, keys, loaded, Date.now());
    const overtaken = instead?.some((entry) => entry?.kind === 'tombstone') ?? false;
    if (overtaken && reloads < RELOADS_MAX) return this.#loadAndStore(ids, keys, reloads + 1);
    const entries = loaded.map((entry, index) => usableInstead(instead?.[index]) ?? entry);
    // A clear or an invalidation while the load was under way, which Redis may not have been there to tell: the callers
    // who began before it may have the value, the memory may not, because it would not hear of it again.
    if (!overtaken && drops === this.#drops) this.#remember(keys, entries);
    return entries;
  }

  #remember(keys: readonly string[], entries: readonly Entry[]): void {
    const nowMs = Date.now();
    for (const [index, entry] of entries.entries()) this.#memory.set(keys[index] as string, entry, nowMs);
  }

  #entriesOf(loaded: LoadedBatch, freshMs: number): Entry[] {
    const nowMs = Date.now();
    return loaded.values.map((json) => this.#entryOf(json, loaded.readAtUs, freshMs, nowMs));
  }

  #entryOf(json: string | null, readAtUs: number, freshMs: number, nowMs: number): Entry {
    const { absentMs, graceMs } = this.#source.timing;
    const fresh = Math.round((json === null ? absentMs : freshMs) * (1 - Math.random() * JITTER));
    const freshUntilMs = nowMs + fresh;
    return {
      kind: json === null ? 'absent' : 'value',
      readAtUs,
      freshUntilMs,
      staleUntilMs: json === null ? freshUntilMs : freshUntilMs + graceMs,
      json,
    };
  }

  #takeFromMemory(wanted: Map<string, Id>, reads: Map<string, CacheRead>): void {
    for (const key of [...wanted.keys()]) {
      const read = this.#probeKey(key);
      if (read === undefined) continue;
      reads.set(key, read);
      wanted.delete(key);
    }
  }

  async #takeFromRedis(wanted: Map<string, Id>, reads: Map<string, CacheRead>): Promise<void> {
    const keys = [...wanted.keys()];
    if (keys.length === 0) return;
    const entries = await this.#askRedisForMany(keys);
    for (const [index, entry] of entries.entries()) {
      const key = keys[index] as string;
      if (entry === undefined || !isFresh(entry)) continue;
      reads.set(key, this.#count('l2', entry));
      wanted.delete(key);
    }
  }

  #startBatch(missing: readonly (readonly [string, Id])[]): void {
    const batch = this.#loadAndStore(
      missing.map(([, id]) => id),
      missing.map(([key]) => key),
    );
    for (const [index, [key]] of missing.entries()) {
      const flight = this.#loads.run(key, async () => (await batch)[index] as Entry);
      // Whoever joins it hears of its failure; a flight that an invalidation made everybody forget has nobody.
      flight.catch(() => undefined);
    }
  }

  /** Joins what is being loaded already; the rest is loaded by one statement, which others may join in turn. */
  async #takeFromSource(wanted: Map<string, Id>, reads: Map<string, CacheRead>): Promise<void> {
    const missing = [...wanted].filter(([key]) => this.#loads.get(key) === undefined);
    if (missing.length > 0) this.#startBatch(missing);
    await Promise.all([...wanted].map(async ([key, id]) => reads.set(key, await this.#loadMissing(id, key))));
  }
}

function isFresh(entry: Entry): boolean {
  return Date.now() < entry.freshUntilMs;
}

/** What another process stored meanwhile, if it can be answered. */
function usableInstead(instead: Entry | null | undefined): Entry | undefined {
  return instead === null || instead === undefined || instead.kind === 'tombstone' ? undefined : instead;
}

/**
 * The result if it comes in time; a failure counts as not in time, because there is something older to answer. What
 * comes later is stored all the same, if the container is not frozen by then; if it is, nothing is lost.
 */
async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    return await Promise.race([work.catch(reportFailedRefresh), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

function reportFailedRefresh(error: unknown): undefined {
  log.warn('A stale value could not be refreshed.', { error });
}
