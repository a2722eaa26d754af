/** L1 and L2 as one store: what memory has is answered only while a recent generation check says that it still counts. */
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import type { Entry, LeaseMark } from './entry.ts';
import { type Change, Generation, type Storable } from './generation.ts';
import { newToken } from './lease.ts';
import { MemoryLayer, type MemoryOrigin, type MemoryRead } from './memory-layer.ts';
import { ReadCounts } from './read-counts.ts';
import {
  type Cleared,
  type L2ReadResult,
  type PutOutcome,
  RedisLayer,
  readEntries,
  type Write,
} from './redis-layer.ts';
import { WallClock } from './wall-clock.ts';

/** Taken before a load begins; says for what its result may be stored when it ends. */
export type LoadTicket = {
  readonly generation: string;
  readonly drops: number;
  readonly storable: Storable;
  /** By the wall clock: a value is as old as its load, which may have been frozen. */
  readonly beganAtMs: number;
};

/** Its number, when it was asked for, and how often the clock had been set back by then. */
type PendingCheck = { readonly number: number; readonly askedAtMs: number; readonly setBacks: number };

/** What a new container wants in its memory, and where Redis has it. */
export type HydrationPlan = {
  readonly keys: readonly string[];
  /** Their names in Redis, in the same order. */
  readonly entryKeys: readonly string[];
  readonly generation: string;
  readonly drops: number;
};

type LayersOptions = {
  readonly dataset: string;
  readonly schemaVersion: number;
  readonly memoryEntriesMax: number;
  readonly memoryMs: number;
  /** No entry stays in Redis for longer. */
  readonly redisMs: number;
  /** Called for each key whose value turned out to be old, or with nothing when all did. */
  readonly onDropped: (key?: string) => void;
  /** Called with hits in memory, late: see `flushHitCounts`. */
  readonly onHits: (origin: MemoryOrigin, hits: number) => void;
  /** Called with how many values were in Redis and could not be read. */
  readonly onCorrupt: (values: number) => void;
};

type Asking = {
  /** As a list of ids is, and a crawler's. */
  readonly amongMany: boolean;
  readonly onCorrupt: (values: number) => void;
  /** Puts a lease where Redis has nothing. */
  readonly token?: string | undefined;
};

/** The usable entry that Redis has, or the tombstone or the lease in its place. */
export type Found = Entry | LeaseMark | undefined;

/**
 * Above this share of misses among what Redis is asked for, a lease is asked for in the same round trip: that costs what is
 * there a twentieth, and spares what is not there a round trip.
 */
const MISSES_EXPECTED_ABOVE = 0.05;
/** What one answer changes of the share that is expected. */
const MISSES_WEIGHT = 0.02;
/** Of a container that has asked for nothing yet; 35 hits later it expects hits. */
const MISSES_AT_FIRST = 0.1;

/** Keys that are asked for together at most: so few that a list finds one as soon as a map would. */
const BATCH_KEYS_MAX = 100;

/** What is asked for in one turn: its answer comes with that of all the others. */
type Batch = {
  readonly keys: string[];
  readonly entries: Promise<readonly Found[]>;
};

export class Layers {
  /** What people read; memory's hits come in late, by `takeReads`. */
  readonly #reads = new ReadCounts();
  readonly #memory: MemoryLayer;
  readonly #redis: RedisLayer;
  readonly #generation = new Generation();
  /** Entries in memory expire by it: none is believed after it was set back. */
  readonly #clock = new WallClock(() => {
    this.#setBacks++;
    this.#generation.forgetCheck();
    this.#dropAll();
  });
  readonly #onDropped: LayersOptions['onDropped'];
  readonly #onCorrupt: LayersOptions['onCorrupt'];
  /** How often the clock was set back. */
  #setBacks = 0;
  /** Raised whenever something in memory turned out to be old: what was read before must not be put back. */
  #drops = 0;
  #batch: Batch | undefined;
  /** From 0 to 1, of what Redis is asked for. */
  #missShare = MISSES_AT_FIRST;

  constructor(redis: GuardedRedis, options: LayersOptions) {
    this.#memory = new MemoryLayer({
      entriesMax: options.memoryEntriesMax,
      keepMs: options.memoryMs,
      onHits: (key, hits, entry, origin) => {
        options.onHits(origin, hits);
        if (entry.kind === 'value') this.#reads.add(key, hits);
      },
    });
    this.#redis = new RedisLayer(redis, options);
    this.#onDropped = options.onDropped;
    this.#onCorrupt = options.onCorrupt;
  }

  /** What memory has and may answer now; no promise, no I/O. */
  probe(key: string): MemoryRead | undefined {
    const nowMs = this.#clock.nowMs();
    return this.#generation.isRecent(nowMs) ? this.#memory.get(key, nowMs) : undefined;
  }

  /** Counts an answer that did not come from memory. */
  countRead(key: string): void {
    this.#reads.add(key, 1);
  }

  get hasManyReads(): boolean {
    return this.#reads.hasMany;
  }

  /** Reports all hits in memory that were not reported yet. */
  flushHitCounts(): void {
    this.#memory.flushHitCounts();
  }

  /** How often each key was answered since the last time. */
  takeReads(): ReadonlyMap<string, number> {
    this.flushHitCounts();
    return this.#reads.take();
  }

  /** What memory has of `key` that is not answered from it any more, if a check says that it counts still. */
  peekStale(key: string): Entry | undefined {
    const nowMs = this.#clock.nowMs();
    return this.#generation.isRecent(nowMs) ? this.#memory.getStale(key, nowMs) : undefined;
  }

  /** What memory has of `key`, whatever the last check said: for when neither Redis nor the database can be asked. */
  peekStaleUnchecked(key: string): Entry | undefined {
    return this.#memory.getStale(key, this.#clock.nowMs());
  }

  /** The places of those keys for which Redis has to be asked; the others are answered from memory after a check. */
  notInMemory(keys: readonly string[]): number[] {
    const nowMs = this.#clock.nowMs();
    const places: number[] = [];
    for (let place = 0; place < keys.length; place++)
      if (!this.#memory.has(keys[place] as string, nowMs)) places.push(place);
    return places;
  }

  /** What counts, as far as this container knows. */
  get generation(): string {
    return this.#generation.current;
  }

  /** The key of the entry in Redis, as far as this container knows. */
  entryKey(key: string, generation = this.#generation.current): string {
    return this.#redis.entryKey(generation, key);
  }

  /**
   * What Redis has of `key`. Whatever is asked for in the same turn goes in the same round trip; a lease that is ours is
   * told to who asked first, who must keep it or give it back.
   */
  ask(key: string): Promise<Found> {
    this.#batch ??= this.#openBatch();
    const { keys, entries } = this.#batch;
    const asked = keys.indexOf(key);
    const place = asked >= 0 ? asked : keys.push(key) - 1;
    if (keys.length === BATCH_KEYS_MAX) this.#batch = undefined;
    if (asked < 0) return entries.then((found) => found[place]);
    return entries.then((found) => withoutLease(found[place]));
  }

  /** What Redis has of `key` now, for who waits for another container's load; with a `token`, a lease where there is nothing. */
  async askAgain(key: string, token?: string): Promise<Found> {
    const [found] = await this.#readL2([key], { amongMany: false, onCorrupt: () => {}, token });
    return found;
  }

  /** What Redis has of each of `keys`, in their order; with a generation check when one is due, also for no key at all. */
  async askForMany(keys: readonly string[]): Promise<readonly Found[]> {
    const found = await this.#readL2(keys, { amongMany: true, onCorrupt: this.#onCorrupt });
    this.#expectMisses(found);
    return found;
  }

  /** Takes leases where Redis has nothing of `keys`; answers what it has. */
  takeLeases(keys: readonly string[]): Promise<readonly Found[]> {
    return this.#readL2(keys, { amongMany: true, onCorrupt: () => {}, token: newToken() });
  }

  /** For writers: the generation is read from Redis now, because one that was read earlier may be wrong. */
  async checkGeneration(): Promise<boolean> {
    const asked = this.#beginCheck(this.#clock.nowMs());
    const found = await this.#redis.read(this.#generation.current, [], this.#generation.sinceMs);
    this.#applyGenerationCheck(found, asked);
    return found.check !== undefined;
  }

  /** A command that is sent after a put arrives after it: not in a cluster, whose put asks another server first. */
  get putsInOneTrip(): boolean {
    return !this.#redis.isCluster;
  }

  beginLoad(): LoadTicket {
    const { current: generation, storable } = this.#generation;
    return { generation, storable, drops: this.#drops, beganAtMs: Date.now() };
  }

  /**
   * Into Redis, each entry only if nothing newer is there, and at once where the lease of its token is. Answers undefined
   * when Redis did not answer.
   */
  async putInRedis(ticket: LoadTicket, writes: readonly Write[]): Promise<PutOutcome[] | undefined> {
    if (writes.length === 0) return [];
    const outcomes = await this.#redis.put(writes, ticket.storable);
    const replaced = outcomes?.filter((outcome) => outcome === 'replaced').length ?? 0;
    if (replaced > 0) this.#onCorrupt(replaced);
    return outcomes;
  }

  /**
   * Into memory, unless a clear or an invalidation was noticed since the load began: who asked before it may have the
   * value, memory may not, because it would not hear of it again.
   */
  putInMemory(ticket: LoadTicket, key: string, entry: Entry, amongMany: boolean): void {
    if (ticket.drops === this.#drops) this.#remember(key, entry, this.#clock.nowMs(), amongMany);
  }

  /** Where Redis has `keys`. After a check, so that what is read there is not older than what the check told. */
  planHydration(keys: readonly string[]): HydrationPlan {
    const { current: generation } = this.#generation;
    return { keys, entryKeys: keys.map((key) => this.entryKey(key)), generation, drops: this.#drops };
  }

  /**
   * Puts what Redis had under `entryKeys` into memory, the first of them as the most recently used, and answers how many.
   * Nothing, when a clear or an invalidation was noticed meanwhile: what Redis had may be older.
   */
  hydrate(plan: HydrationPlan, texts: readonly (string | null)[]): number {
    if (plan.drops !== this.#drops || plan.generation !== this.#generation.current) return 0;
    const { entries, corrupt } = readEntries(undefined, plan.entryKeys, texts);
    if (corrupt > 0) this.#onCorrupt(corrupt);
    const nowMs = this.#clock.nowMs();
    let filled = 0;
    for (let place = entries.length - 1; place >= 0; place--) {
      const entry = entries[place];
      if (entry?.kind !== 'value' || nowMs >= entry.freshUntilMs) continue;
      this.#memory.set(plan.keys[place] as string, entry, nowMs, 'hydrated');
      filled++;
    }
    return filled;
  }

  /** Throws `RedisUnavailableError`. */
  async clear(): Promise<Cleared> {
    const cleared = await this.#redis.clear(this.#generation.current);
    if (this.#generation.raise(cleared.generation)) this.#dropAll();
    return cleared;
  }

  /** Throws `RedisUnavailableError`. */
  async invalidate(keys: readonly string[], atUs: number): Promise<void> {
    await this.#redis.invalidate(this.#generation.current, this.#generation.schemaVersions, keys, atUs);
    for (const key of keys) this.#drop(key);
  }

  #openBatch(): Batch {
    const keys: string[] = [];
    // The callers that run before this have asked by then.
    const entries = Promise.resolve().then(async () => {
      if (this.#batch?.keys === keys) this.#batch = undefined;
      const token = this.#missShare > MISSES_EXPECTED_ABOVE ? newToken() : undefined;
      const found = await this.#readL2(keys, { amongMany: false, onCorrupt: this.#onCorrupt, token });
      this.#expectMisses(found);
      return found;
    });
    return { keys, entries };
  }

  #expectMisses(found: readonly Found[]): void {
    for (const one of found) {
      const isMissing = one === undefined || one.kind === 'lease';
      this.#missShare += (Number(isMissing) - this.#missShare) * MISSES_WEIGHT;
    }
  }

  #remember(key: string, entry: Entry, nowMs: number, amongMany: boolean): void {
    if (amongMany) this.#memory.setAmongMany(key, entry, nowMs);
    else this.#memory.set(key, entry, nowMs);
  }

  async #readL2(keys: readonly string[], asking: Asking): Promise<readonly Found[]> {
    const askedAtMs = this.#clock.nowMs();
    const isCheckDue = !this.#generation.isRecent(askedAtMs);
    if (keys.length === 0 && !isCheckDue) return [];
    const { current: generation, sinceMs, isKnown } = this.#generation;
    // A lease of the wrong generation would be left there.
    const token = isKnown ? asking.token : undefined;
    const drops = this.#drops;
    const asked = isCheckDue ? this.#beginCheck(askedAtMs) : undefined;
    const found = await this.#redis.read(generation, keys, isCheckDue ? sinceMs : undefined, token);
    // What another check has dropped since these entries were asked for must not come back with them; nor what was read before
    // this one, which may have been sent again, where it cannot tell of all that was invalidated.
    const isUndisturbed = drops === this.#drops;
    const change = asked === undefined ? 'none' : this.#applyGenerationCheck(found, asked);
    if (generation !== this.#generation.current) {
      // Who has not heard of the clear yet would wait for a load that is stored elsewhere.
      const [again] = await Promise.all([this.#readL2(keys, asking), this.#redis.giveBack(found.entries)]);
      return again;
    }
    if (found.corrupt > 0) asking.onCorrupt(found.corrupt);
    return this.#takeAll(keys, found, isUndisturbed && change !== 'all', asking.amongMany);
  }

  /**
   * Our own check was made before the entries were read, as a rule; but a server that has lost its scripts is sent the check
   * again, behind them. So what it reports is not remembered.
   */
  #takeAll(
    keys: readonly string[],
    { entries, check }: L2ReadResult,
    mayRemember: boolean,
    amongMany: boolean,
  ): readonly Found[] {
    const nowMs = this.#clock.nowMs();
    const reported = check?.invalidatedIds ?? [];
    return entries.map((entry, place) => {
      const key = keys[place] as string;
      const taken = this.#take(key, entry, nowMs);
      if (isEntry(taken) && taken.kind !== 'tombstone' && mayRemember && !reported.includes(key))
        this.#remember(key, taken, nowMs, amongMany);
      return taken;
    });
  }

  /** What is stale is remembered too: not answered from memory, but there if the database is away. */
  #take(key: string, entry: Found, nowMs: number): Found {
    if (!isEntry(entry)) return entry;
    if (nowMs >= entry.staleUntilMs) return undefined;
    if (entry.kind === 'tombstone') this.#memory.delete(key);
    return entry;
  }

  #beginCheck(askedAtMs: number): PendingCheck {
    return { number: this.#generation.beginCheck(), askedAtMs, setBacks: this.#setBacks };
  }

  #applyGenerationCheck(
    { check, attemptedAtMs }: L2ReadResult,
    { number, askedAtMs, setBacks }: PendingCheck,
  ): Change {
    if (check === undefined) {
      this.#generation.skipCheck(attemptedAtMs, this.#clock.nowMs());
      return 'none';
    }
    const change = this.#generation.apply(check, number, askedAtMs, this.#clock.nowMs());
    // The interleaving that this closes: 1. a check is asked for; 2. the clock is set back, which is noticed, and the last
    // check is forgotten; 3. this check is answered: by the clock as it is now it would be asked for in the future, and count
    // for longer than it may once that has come.
    if (setBacks !== this.#setBacks) this.#generation.forgetCheck();
    if (change === 'all') this.#dropAll();
    if (change === 'ids') for (const key of check.invalidatedIds) this.#drop(key);
    return change;
  }

  #drop(key: string): void {
    this.#drops++;
    this.#memory.delete(key);
    this.#onDropped(key);
  }

  #dropAll(): void {
    this.#drops++;
    this.#memory.clear();
    this.#onDropped();
  }
}

function isEntry(found: Found): found is Entry {
  return found !== undefined && found.kind !== 'lease';
}

/** For who is not the one to keep the lease. */
function withoutLease(found: Found): Found {
  return found?.kind === 'lease' ? { ...found, isOurs: false } : found;
}
