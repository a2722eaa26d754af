/**
 * The read path: memory, then Redis, then the source. A hit in memory is found without a promise; a miss everywhere is
 * loaded once, stored in both layers and returned. Values are JSON text from the database to the caller.
 */
import { LoadTooOldError, RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import type { Entry } from './entry.ts';
import { Layers, type LoadTicket } from './layers.ts';
import { Lease, type Release } from './lease.ts';
import type { Cleared, PutOutcome } from './redis-layer.ts';
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
/** Longer than a load takes that waited for another container first. Who joins it has looked at the generation before. */
const LOAD_JOINABLE_MS = 5_000;
/** A load that was overtaken by an invalidation is repeated; more often than this would mean one per load. */
const RELOADS_MAX = 3;
/** Entries that were stored together must not expire together: each lives up to this share shorter. */
const JITTER = 0.1;

export class TieredCache<Id> {
  readonly counts: CacheCounts = { l1: 0, hydrated: 0, l2: 0, stale: 0, miss: 0, corrupt: 0 };
  readonly #source: Source<Id>;
  readonly #layers: Layers;
  readonly #lease: Lease;
  readonly #loads = new SingleFlight<Entry>(LOAD_JOINABLE_MS);

  constructor(source: Source<Id>, redis: GuardedRedis) {
    this.#source = source;
    this.#layers = new Layers(redis, {
      dataset: source.name,
      schemaVersion: source.schemaVersion,
      memoryEntriesMax: source.memoryEntriesMax,
      memoryMs: source.timing.memoryMs,
      onDropped: (key) => (key === undefined ? this.#loads.forgetAll() : this.#loads.forget(key)),
      onCorrupt: (values) => {
        this.counts.corrupt += values;
      },
    });
    this.#lease = new Lease(redis);
  }

  get name(): string {
    return this.#source.name;
  }

  /** The value if this container has it in memory and may answer it now; no promise, no I/O. */
  probe(id: Id): CacheRead | undefined {
    return this.#probeKey(this.#source.key(id));
  }

  /**
   * The value of `id`, from the nearest layer that has it.
   * Throws what the source throws when nothing that may be answered is cached.
   */
  get(id: Id): Promise<CacheRead> {
    const key = this.#source.key(id);
    const inMemory = this.#probeKey(key);
    return inMemory === undefined ? this.#getFurther(id, key) : Promise.resolve(inMemory);
  }

  /** The values of `ids`, in their order: one MGET for what memory lacks, one statement for what Redis lacks. */
  async getMany(ids: readonly Id[]): Promise<CacheRead[]> {
    const keys = this.#keysOf(ids);
    const reads = new Array<CacheRead | undefined>(keys.length).fill(undefined);
    const stale = await this.#takeFromLayers(keys, reads);
    const lacking = new Map<string, Id>();
    for (const [place, key] of keys.entries())
      if (reads[place] === undefined) lacking.set(key, ids[place] as Id);
    if (lacking.size > 0) {
      const loaded = await this.#takeFromSource(lacking, stale);
      for (const [place, key] of keys.entries()) reads[place] ??= loaded.get(key);
    }
    return reads as CacheRead[];
  }

  /**
   * Loads `ids` with one statement and stores them as a warm-up does, fresh for longer; what is newer already stays.
   * Throws what the source throws, `RedisUnavailableError`, or `LoadTooOldError`; all may be tried again.
   */
  async warm(ids: readonly Id[], signal?: AbortSignal): Promise<Warmed> {
    await this.#lookForWriting();
    const ticket = this.#layers.beginLoad();
    const loaded = await this.#source.load(ids);
    // Between the load and the write is the last moment at which an owner that lost its lock can still hold back.
    signal?.throwIfAborted();
    const entries = this.#entriesOf(loaded, this.#source.timing.warmFreshMs, ticket);
    const outcomes = await this.#layers.putInRedis(ticket, this.#keysOf(ids), entries);
    if (outcomes === undefined) throw new RedisUnavailableError('Redis did not take what was loaded for it.');
    if (outcomes.includes('late')) throw new LoadTooOldError('What was loaded is too old to be stored.');
    const newerStored = outcomes.filter((outcome) => typeof outcome === 'object').length;
    return { stored: ids.length - newerStored, newerStored };
  }

  /**
   * Nothing that was loaded before this call is answered by this container after it, and by no other one second later.
   * Throws `RedisUnavailableError`: it is then not known to be done, and must be tried again.
   */
  clear(): Promise<Cleared> {
    return this.#layers.clear();
  }

  /**
   * The same for `ids` only. `atUs` is the database's clock after the change was committed.
   * Throws `RedisUnavailableError`: the change is then not known to the caches, and must be told again.
   */
  async invalidate(ids: readonly Id[], atUs: number): Promise<void> {
    await this.#lookForWriting();
    await this.#layers.invalidate(this.#keysOf(ids), atUs);
  }

  #probeKey(key: string): CacheRead | undefined {
    const read = this.#layers.probe(key);
    if (read !== undefined) this.counts.l1++;
    return read;
  }

  #count(layer: Layer, entry: Entry): CacheRead {
    this.counts[layer]++;
    return { json: entry.json, layer };
  }

  async #getFurther(id: Id, key: string): Promise<CacheRead> {
    const inRedis = await this.#layers.ask(key);
    if (inRedis !== undefined && isFresh(inRedis)) return this.#count('l2', inRedis);
    // Redis does not have it, or did not answer: the look made in the same round trip may have confirmed the memory's.
    const confirmed = this.#probeKey(key);
    if (confirmed !== undefined) return confirmed;
    const stale = inRedis ?? this.#layers.probeStale(key);
    return stale === undefined ? this.#loadMissing(id, key) : this.#serveStale(id, key, stale);
  }

  #keysOf(ids: readonly Id[]): string[] {
    return ids.map((id) => this.#source.key(id));
  }

  async #lookForWriting(): Promise<void> {
    if (await this.#layers.lookNow()) return;
    throw new RedisUnavailableError('Redis did not tell the generation.');
  }

  async #loadMissing(id: Id, key: string): Promise<CacheRead> {
    const entry = await this.#loads.run(key, () => this.#loadAsLeader(id, key));
    return this.#count(isFresh(entry) ? 'miss' : 'stale', entry);
  }

  async #loadAsLeader(id: Id, key: string): Promise<Entry> {
    const turn = await this.#lease.leadOrFind(this.#layers.entryKey(key), async () => {
      const stored = await this.#layers.askAgain(key);
      return stored !== undefined && isFresh(stored) ? stored : undefined;
    });
    if ('found' in turn) return turn.found;
    const [entry] = await this.#loadAndStore([id], [key], turn.release);
    return entry as Entry;
  }

  /** The first caller of all containers refreshes, for a moment; the others, and it after that moment, get what there is. */
  async #serveStale(id: Id, key: string, stale: Entry): Promise<CacheRead> {
    if (this.#loads.get(key) !== undefined) return this.#count('stale', stale);
    const refresh = this.#loads.run(key, async () => {
      const release = await this.#lease.tryLead(this.#layers.entryKey(key));
      if (release === undefined) return stale;
      const [entry] = await this.#loadAndStore([id], [key], release);
      return entry as Entry;
    });
    return this.#firstOf(refresh, stale);
  }

  async #firstOf(refresh: Promise<Entry>, stale: Entry): Promise<CacheRead> {
    const entry = (await within(REFRESH_WAIT_MS, refresh)) ?? stale;
    return this.#count(isFresh(entry) ? 'miss' : 'stale', entry);
  }

  /**
   * Loads and stores, and answers what is stored then. The interleaving that the repetition closes, for one id:
   *   1. this load reads the row (old)      3. the owner invalidates: a tombstone
   *   2. the owner commits the new row      4. this write is refused; a caller who came after 3 may be waiting for it
   */
  async #loadAndStore(
    ids: readonly Id[],
    keys: readonly string[],
    release: Release,
    reloads = 0,
  ): Promise<Entry[]> {
    const ticket = this.#layers.beginLoad();
    const loaded = await this.#loadOrRelease(ids, ticket, release);
    // In this order on one connection: whoever leads next finds what was stored.
    const [outcomes] = await Promise.all([this.#layers.putInRedis(ticket, keys, loaded), release()]);
    if (isOvertaken(outcomes) && reloads < RELOADS_MAX) {
      return this.#loadAndStore(ids, keys, release, reloads + 1);
    }
    const entries = loaded.map((entry, index) => storedInstead(outcomes?.[index]) ?? entry);
    if (!isOvertaken(outcomes)) this.#remember(ticket, keys, entries, outcomes);
    return entries;
  }

  async #loadOrRelease(ids: readonly Id[], ticket: LoadTicket, release: Release): Promise<Entry[]> {
    try {
      return this.#entriesOf(await this.#source.load(ids), this.#source.timing.freshMs, ticket);
    } catch (error) {
      await release();
      throw error;
    }
  }

  #remember(
    ticket: LoadTicket,
    keys: readonly string[],
    entries: readonly Entry[],
    outcomes: readonly PutOutcome[] | undefined,
  ): void {
    // Too late for Redis is too late for memory: an invalidation that would have been heard of may be forgotten.
    if (outcomes?.includes('late') !== true) this.#layers.putInMemory(ticket, keys, entries);
  }

  #entriesOf(loaded: LoadedBatch, freshMs: number, { beganAtMs }: LoadTicket): Entry[] {
    return loaded.values.map((json) => this.#entryOf(json, loaded.readAtUs, freshMs, beganAtMs));
  }

  #entryOf(json: string | null, readAtUs: number, freshMs: number, beganAtMs: number): Entry {
    const { absentMs, graceMs } = this.#source.timing;
    const fresh = Math.round((json === null ? absentMs : freshMs) * (1 - Math.random() * JITTER));
    const freshUntilMs = beganAtMs + fresh;
    return {
      kind: json === null ? 'absent' : 'value',
      readAtUs,
      freshUntilMs,
      staleUntilMs: json === null ? freshUntilMs : freshUntilMs + graceMs,
      json,
    };
  }

  /** Puts what memory and Redis have fresh into its place in `reads`, and answers what they have stale. */
  async #takeFromLayers(
    keys: readonly string[],
    reads: (CacheRead | undefined)[],
  ): Promise<ReadonlyMap<string, Entry>> {
    const stale = new Map<string, Entry>();
    const places = [...keys.keys()];
    const asked = places.filter((place) => !this.#layers.isInMemory(keys[place] as string));
    await this.#takeFromRedis(keys, asked, reads, stale);
    if (asked.length < keys.length) this.#takeFromMemory(keys, reads);
    // The look made in the same round trip may have dropped what memory had.
    const dropped = places.filter((place) => reads[place] === undefined && !asked.includes(place));
    await this.#takeFromRedis(keys, dropped, reads, stale);
    return stale;
  }

  async #takeFromRedis(
    keys: readonly string[],
    places: readonly number[],
    reads: (CacheRead | undefined)[],
    stale: Map<string, Entry>,
  ): Promise<void> {
    const entries = await this.#layers.askForMany(places.map((place) => keys[place] as string));
    const nowMs = Date.now();
    for (const [index, place] of places.entries()) {
      const key = keys[place] as string;
      const inRedis = entries[index];
      if (inRedis !== undefined && nowMs < inRedis.freshUntilMs) {
        reads[place] = this.#count('l2', inRedis);
        continue;
      }
      const old = inRedis ?? this.#layers.probeStale(key);
      if (old !== undefined) stale.set(key, old);
    }
  }

  #takeFromMemory(keys: readonly string[], reads: (CacheRead | undefined)[]): void {
    for (const [place, key] of keys.entries()) reads[place] ??= this.#probeKey(key);
  }

  /**
   * One statement for what is missing and for what this container is the one to refresh. What is being loaded already is
   * joined, and what is stale is answered at once unless we refresh it.
   */
  async #takeFromSource(
    lacking: ReadonlyMap<string, Id>,
    stale: ReadonlyMap<string, Entry>,
  ): Promise<Map<string, CacheRead>> {
    const reads = new Map<string, CacheRead>();
    const releases = await this.#leadRefreshes([...lacking.keys()].filter((key) => stale.has(key)));
    const wanted = [...lacking].filter(([key]) => !stale.has(key) || releases.has(key));
    const started = this.#startBatch(wanted, async () => {
      await Promise.all([...releases.values()].map((release) => release()));
    });
    for (const key of lacking.keys()) {
      const old = stale.get(key);
      if (old !== undefined && !releases.has(key)) reads.set(key, this.#count('stale', old));
    }
    const joined = wanted.map(async ([key, id]) => reads.set(key, await this.#join(id, key, stale.get(key))));
    await Promise.all([started, ...joined]);
    return reads;
  }

  async #leadRefreshes(keys: readonly string[]): Promise<Map<string, Release>> {
    const releases = new Map<string, Release>();
    const tryKey = async (key: string) => {
      const release = await this.#lease.tryLead(this.#layers.entryKey(key));
      if (release !== undefined) releases.set(key, release);
    };
    await Promise.all(keys.filter((key) => this.#loads.get(key) === undefined).map(tryKey));
    return releases;
  }

  /** Begins at once; answers when it has released what it does not need. */
  async #startBatch(wanted: readonly (readonly [string, Id])[], release: Release): Promise<void> {
    const missing = wanted.filter(([key]) => this.#loads.get(key) === undefined);
    if (missing.length === 0) return release();
    const batch = this.#loadAndStore(
      missing.map(([, id]) => id),
      missing.map(([key]) => key),
      release,
    );
    for (const [index, [key]] of missing.entries()) {
      const flight = this.#loads.run(key, async () => (await batch)[index] as Entry);
      // Whoever joins it hears of its failure; a flight that an invalidation made everybody forget has nobody.
      flight.catch(() => undefined);
    }
  }

  #join(id: Id, key: string, stale: Entry | undefined): Promise<CacheRead> {
    const flight = this.#loads.get(key);
    return stale === undefined || flight === undefined
      ? this.#loadMissing(id, key)
      : this.#firstOf(flight, stale);
  }
}

function isFresh(entry: Entry): boolean {
  return Date.now() < entry.freshUntilMs;
}

function isOvertaken(outcomes: readonly PutOutcome[] | undefined): boolean {
  return outcomes?.some((outcome) => typeof outcome === 'object' && outcome.kind === 'tombstone') ?? false;
}

/** What another process stored meanwhile, if it can be answered. */
function storedInstead(outcome: PutOutcome | undefined): Entry | undefined {
  return typeof outcome === 'object' && outcome.kind !== 'tombstone' ? outcome : undefined;
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
