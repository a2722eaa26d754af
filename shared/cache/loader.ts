/** Loads what neither memory nor Redis has: once for all who ask, and stores it in both. */
import { LoadTooOldError, RedisUnavailableError, SourceAnswerError, StandbyError } from '../errors.ts';
import { log } from '../logger.ts';
import type { Admission, Verdict } from './admission.ts';
import type { Entry, LeaseMark } from './entry.ts';
import type { Generation, LoadTicket } from './generation.ts';
import type { Acquired, HeldLease, Lease, SingleFlight } from './load-once.ts';
import type { MemoryLayer } from './memory-layer.ts';
import type { PutOutcome, RedisLayer } from './redis-layer.ts';
import type { LoadedBatch, Source } from './source.ts';

export type Warmed = {
  /** The keys whose values were stored, in their order. */
  readonly storedKeys: readonly string[];
  /** How many keys have no value: that is stored too, for a moment. */
  readonly absent: number;
  /** How many were not stored, because something was there that was read later. */
  readonly newerStored: number;
  /** What it was stored under: a clear that comes later makes it invisible. */
  readonly generation: string;
};

export type WarmOptions = {
  /** Nothing is stored after it was aborted. */
  readonly signal?: AbortSignal;
  /** Called between the load and the store, with how long the source took. */
  readonly onLoaded?: (loadMs: number) => void;
};

/** A load is joined for so long, which is more than one takes that waited for another container first. A caller that joins it has checked the generation before. */
export const LOAD_JOINABLE_MS = 5_000;
/** A load that was overtaken by an invalidation is repeated; more often than this would mean one per load. */
const RELOADS_MAX = 3;
/** What is known of how long a load takes when none has been made yet, and how much a new one changes it. */
const USUAL_LOAD_MS = 2;
const USUAL_LOAD_WEIGHT = 0.2;
/** Sooner than this nobody polls again for what another container loads. */
const FIRST_POLL_MIN_MS = 1;
const FIRST_POLL_MAX_MS = 50;
/** Entries that were stored together must not expire together: each lives up to this share shorter. */
const JITTER = 0.1;
/** Steps of this size, each begun where the last one ended and 1 taken off, lie more evenly in [0, 1) than chance does. */
const GOLDEN_RATIO = 0.618033988749895;

/** A key that is to be loaded. */
export type Missing<Id> = {
  readonly id: Id;
  readonly key: string;
  /** What Redis has of it, which the load replaces. */
  readonly replaces: 'stale' | 'tombstone' | undefined;
  /** The lease that was found in its place: ours, or another container's. */
  readonly mark?: LeaseMark | undefined;
};

/** Loads under way in this container, by key: what is answered by one that another container makes is undefined. */
export type LoadsUnderWay = SingleFlight<Entry | undefined>;

const REPLACED: Verdict = { isStored: true, wasSeen: true };
const NOT_LOADED: Entry = { kind: 'absent', readAtUs: 0, freshUntilMs: 0, staleUntilMs: 0, json: null };

/** One of those that are loaded together, and what became of it. */
class Load<Id> {
  readonly id: Id;
  readonly key: string;
  held: HeldLease;
  readonly replaces: 'stale' | 'tombstone' | undefined;
  /** The key in Redis under which it is stored. */
  entryKey = '';
  entry: Entry = NOT_LOADED;
  verdict: Verdict = REPLACED;
  /** Undefined where it was not to be stored, and when Redis did not answer. */
  outcome: PutOutcome | undefined;
  /** How often it was loaded again, and for which tombstone. */
  reloads = 0;
  overtakenBy: string | undefined;
  /** Why it could not be loaded again. */
  failure: unknown;

  constructor({ id, key, replaces }: Missing<Id>, held: HeldLease) {
    this.id = id;
    this.key = key;
    this.held = held;
    this.replaces = replaces;
  }

  get token(): string {
    return this.held.token;
  }

  /** Storing it replaces the lease: not one beside it, or elsewhere because of a clear since the lease was taken. */
  get replacesLease(): boolean {
    return this.verdict.isStored && this.held.leaseKey === this.entryKey;
  }

  /** The time of the tombstone that refused it, as text; undefined where none did. */
  get tombstone(): string | undefined {
    const { outcome } = this;
    return typeof outcome === 'object' && outcome.kind === 'tombstone' ? String(outcome.readAtUs) : undefined;
  }

  /** What another process stored meanwhile, if it can be answered. Throws what loading it again threw. */
  get answer(): Entry {
    if (this.failure !== undefined) throw this.failure;
    const { outcome } = this;
    return typeof outcome === 'object' && outcome.kind !== 'tombstone' ? outcome : this.entry;
  }
}

type Parts = {
  readonly generation: Generation;
  readonly memory: MemoryLayer;
  readonly redis: RedisLayer;
  readonly loads: LoadsUnderWay;
  readonly lease: Lease;
  readonly admission: Admission;
};

export class Loader<Id> {
  readonly #source: Source<Id>;
  readonly #generation: Generation;
  readonly #memory: MemoryLayer;
  readonly #redis: RedisLayer;
  readonly #loads: LoadsUnderWay;
  readonly #lease: Lease;
  readonly #admission: Admission;
  /** By how much of the jitter the next entry lives shorter, from 0 to 1; begins anywhere, so that containers differ. */
  #jitter = Math.random();
  /** How long a load of this dataset takes as a rule, in ms. */
  #usualLoadMs = USUAL_LOAD_MS;

  constructor(source: Source<Id>, { generation, memory, redis, loads, lease, admission }: Parts) {
    this.#source = source;
    this.#generation = generation;
    this.#memory = memory;
    this.#redis = redis;
    this.#loads = loads;
    this.#lease = lease;
    this.#admission = admission;
  }

  /** What is loaded, here or by the container that holds the lease. Throws what the source throws. */
  async load(missing: Missing<Id>): Promise<Entry> {
    const { mark } = missing;
    const loaded = await this.#joinOr(missing, () =>
      mark?.isOurs
        ? this.#loadOne(missing, this.#lease.holdInPlace(mark))
        : this.#loadOrWait(missing, mark !== undefined),
    );
    return loaded ?? this.#loadOrWait(missing, true);
  }

  /**
   * What is loaded, for a caller who has something stale; undefined while another container holds the lease. What is stale is
   * the answer of the caller alone, and of nobody who joins it:
   *   1. A reads what is stale               3. B checks, and hears of it: loads under way are forgotten
   *   2. another container invalidates it    4. A begins to refresh: B may join that, and must not be answered 1's
   */
  refresh(missing: Missing<Id>): Promise<Entry | undefined> {
    const refreshing = this.#joinOr(missing, async () => {
      const acquired = await this.#tryAcquire(missing);
      if (acquired === undefined) return undefined;
      return 'found' in acquired ? acquired.found : this.#loadOne(missing, acquired.held);
    });
    refreshing.catch(reportFailure);
    return refreshing;
  }

  /** A lease that was found to be ours, and is not needed. Never rejects. */
  giveBack(mark: LeaseMark): Promise<void> {
    return this.#lease.giveBack(mark);
  }

  /** Begins one load of all of `missing` that nobody else loads; answers their keys, which are under way then. */
  async loadMany(missing: readonly Missing<Id>[]): Promise<ReadonlySet<string>> {
    const free = missing.filter(({ key }) => !this.#loads.get(key));
    const acquired = await this.#acquireMany(free);
    const owned = free.filter(({ key }) => acquired.has(key) && !this.#loads.get(key));
    const loads = owned.map((each) => new Load(each, acquired.get(each.key) as HeldLease));
    if (loads.length > 0) this.#loadTogether(loads);
    for (const { key } of owned) acquired.delete(key);
    await Promise.all([...acquired.values()].map((held) => this.#lease.release(held)));
    return new Set(owned.map(({ key }) => key));
  }

  /**
   * Loads `ids` with one statement and stores them as a warm-up does, fresh for longer; what is newer already stays.
   * Throws what the source throws, `RedisUnavailableError`, or `LoadTooOldError`; all may be tried again.
   */
  async warm(ids: readonly Id[], { signal, onLoaded }: WarmOptions): Promise<Warmed> {
    const ticket = this.#generation.beginLoad();
    const beganMonotonicMs = performance.now();
    const entries = await this.#loadEntries(ids, this.#source.timing.warmFreshMs, ticket);
    onLoaded?.(performance.now() - beganMonotonicMs);
    // Between the load and the write is the last moment at which an owner that lost its lock can still hold back.
    signal?.throwIfAborted();
    const keys = ids.map((id) => this.#source.key(id));
    const writes = entries.map((entry, place) => {
      const key = keys[place] as string;
      return { key, entryKey: this.#redis.entryKey(key, ticket.generation), entry };
    });
    const outcomes = await this.#redis.put(writes, ticket.storable);
    if (outcomes === undefined) throw new RedisUnavailableError('Redis did not take what was loaded for it.');
    if (outcomes.includes('late')) throw new LoadTooOldError('What was loaded is too old to be stored.');
    const stored = [...entries.keys()].filter((place) => typeof outcomes[place] !== 'object');
    const values = stored.filter((place) => entries[place]?.kind === 'value');
    return {
      storedKeys: values.map((place) => keys[place] as string),
      absent: stored.length - values.length,
      newerStored: ids.length - stored.length,
      generation: ticket.generation,
    };
  }

  /** Joins the load under way for the key, whose lease is another, or starts one by `work`, which takes over the one of `mark`. */
  #joinOr({ key, mark }: Missing<Id>, work: () => Promise<Entry | undefined>): Promise<Entry | undefined> {
    const joined = this.#loads.get(key);
    if (joined === undefined) return this.#loads.run(key, work);
    return mark === undefined ? joined : this.#lease.giveBack(mark).then(() => joined);
  }

  async #tryAcquire({ key, replaces, mark }: Missing<Id>): Promise<Acquired> {
    if (mark?.isOurs) return { held: this.#lease.holdInPlace(mark) };
    return mark === undefined ? this.#lease.tryAcquire(key, replaces !== undefined) : undefined;
  }

  async #loadOrWait(missing: Missing<Id>, isHeld: boolean): Promise<Entry> {
    const acquired = await this.#acquireOrWait(missing.key, missing.replaces !== undefined, isHeld);
    return 'found' in acquired ? acquired.found : this.#loadOne(missing, acquired.held);
  }

  #acquireOrWait(key: string, isOccupied: boolean, isHeld: boolean) {
    return this.#lease.acquireOrWait(key, {
      isOccupied,
      isHeld,
      firstPollMs: Math.min(Math.max(this.#usualLoadMs, FIRST_POLL_MIN_MS), FIRST_POLL_MAX_MS),
      // The waiting caller counts as a second request, so the load is stored.
      onWait: () => this.#admission.note(key),
    });
  }

  async #loadOne(missing: Missing<Id>, held: HeldLease): Promise<Entry> {
    const load = new Load(missing, held);
    await this.#loadAndStore([load]);
    return load.answer;
  }

  /** Leases of those that no other container loads; what another one loads, or has stored, each read waits for itself. */
  async #acquireMany(missing: readonly Missing<Id>[]): Promise<Map<string, HeldLease>> {
    const acquired = new Map<string, HeldLease>();
    const tryBeside = async (key: string) => {
      const held = await this.#lease.acquireBeside(key);
      if (held !== undefined) acquired.set(key, held);
    };
    const tryInPlace = async (keys: readonly string[]) => {
      const found = await this.#redis.takeLeases(keys);
      for (const [place, mark] of found.entries()) {
        if (mark?.kind === 'lease' && mark.isOurs)
          acquired.set(keys[place] as string, this.#lease.holdInPlace(mark));
      }
      await Promise.all(keys.filter((_, place) => found[place] === undefined).map(tryBeside));
    };
    const keysOf = (some: readonly Missing<Id>[]) => some.map(({ key }) => key);
    const empty = keysOf(missing.filter(({ replaces }) => replaces === undefined));
    const occupied = keysOf(missing.filter(({ replaces }) => replaces !== undefined));
    await Promise.all([tryInPlace(empty), ...occupied.map(tryBeside)]);
    return acquired;
  }

  #loadTogether(loads: readonly Load<Id>[]): void {
    const storing = this.#loadAndStore(loads);
    storing.catch(reportFailure);
    for (const load of loads) {
      const flight = this.#loads.run(load.key, () => storing.then(() => load.answer));
      // Callers that join it handle its failure; one that an invalidation made everybody forget has no caller.
      flight.catch(() => undefined);
    }
  }

  /**
   * Loads and stores; what can be answered then is each one's `answer`. The interleaving that the repetition closes, for one id:
   *   1. this load reads the row (old)      3. the owner invalidates: a tombstone
   *   2. the owner commits the new row      4. this write is refused; a caller who came after 3 may be waiting for it
   * What is refused for a tombstone that was there when the load began is newer all the same, and not loaded again: the
   * database's clock was set back, and says otherwise. What is stale in Redis is replaced whatever it is.
   */
  async #loadAndStore(loads: readonly Load<Id>[]): Promise<void> {
    const ticket = this.#generation.beginLoad();
    await this.#loadOrRelease(loads, ticket);
    await this.#judge(ticket.generation, loads);
    const reported = this.#admission.reportIfDue();
    await this.#putAndRelease(ticket, loads);
    await reported;
    const overtaken = loads.filter(
      ({ tombstone, overtakenBy, reloads }) =>
        tombstone !== undefined && tombstone !== overtakenBy && reloads < RELOADS_MAX,
    );
    // Too late for Redis is too late for memory: an invalidation since then may have left the list.
    const isLate = loads.some(({ outcome }) => outcome === 'late');
    if (!isLate) this.#putInMemory(ticket, loads);
    if (overtaken.length > 0) await Promise.all(overtaken.map((load) => this.#loadAgain(load)));
  }

  /** Loads it under a lease again, because all containers may do so at the invalidation. A failure is that of this load alone. */
  async #loadAgain(load: Load<Id>): Promise<void> {
    load.reloads++;
    load.overtakenBy = load.tombstone;
    try {
      const acquired = await this.#acquireOrWait(load.key, true, false);
      if ('found' in acquired) {
        load.outcome = acquired.found;
        return;
      }
      load.held = acquired.held;
      await this.#loadAndStore([load]);
    } catch (error) {
      load.failure = error;
    }
  }

  /** Remembers the answers, unless a clear or an invalidation was noticed since the load began. */
  #putInMemory(ticket: LoadTicket, loads: readonly Load<Id>[]): void {
    // First, because reading the clock may find that it was set back, and then nothing is remembered.
    const nowMs = this.#generation.nowMs();
    if (!this.#generation.isUndisturbed(ticket)) return;
    for (const { key, answer, verdict, tombstone } of loads) {
      const amongMany = loads.length > 1 || !verdict.wasSeen;
      if (tombstone === undefined) this.#memory.put(key, answer, nowMs, amongMany);
    }
  }

  /** What replaces something that is stored is not refused; what was there before an invalidation was counted already. */
  async #judge(generation: string, loads: readonly Load<Id>[]): Promise<void> {
    const first = loads.filter(({ reloads }) => reloads === 0);
    const judged = first.filter(({ replaces }) => replaces === undefined);
    for (const { key, replaces, entry } of first)
      if (replaces === 'stale') this.#admission.countReplaced(key, entry);
    const verdicts = await this.#admission.judge(generation, judged);
    for (const [place, load] of judged.entries()) load.verdict = verdicts[place] as Verdict;
  }

  /** Storing replaces a lease in place; the others are released, as a rule after it, so that the next holder finds what was stored. */
  async #putAndRelease(ticket: LoadTicket, loads: readonly Load<Id>[]): Promise<void> {
    for (const load of loads) {
      load.entryKey = this.#redis.entryKey(load.key, ticket.generation);
      load.outcome = undefined;
    }
    const putting = this.#put(ticket, loads);
    if (!this.#redis.putsInOneTrip) await putting;
    const releasing = Promise.all(
      loads.filter(({ replacesLease }) => !replacesLease).map((load) => this.#releaseUnstored(load)),
    );
    const isPut = await putting;
    await releasing;
    const replaced = loads.filter(({ replacesLease }) => replacesLease);
    for (const { held } of replaced) held.stop();
    if (!isPut) await this.#releaseAll(replaced);
  }

  /** What is not stored is not refused either: it was overtaken if a tombstone has taken the place of its lease. */
  async #releaseUnstored(load: Load<Id>): Promise<void> {
    const wasThere = await this.#lease.release(load.held);
    if (wasThere || load.verdict.isStored || load.held.leaseKey !== load.entryKey) return;
    const found = await this.#redis.askAgain(load.key);
    if (found?.kind === 'tombstone') load.outcome = found;
  }

  /** False when Redis did not answer. */
  async #put(ticket: LoadTicket, loads: readonly Load<Id>[]): Promise<boolean> {
    const stored = loads.filter(({ verdict }) => verdict.isStored);
    const outcomes = await this.#redis.put(stored, ticket.storable);
    for (const [place, load] of stored.entries()) load.outcome = outcomes?.[place];
    return outcomes !== undefined;
  }

  async #releaseAll(loads: readonly Load<Id>[]): Promise<void> {
    if (loads.length > 0) await Promise.all(loads.map(({ held }) => this.#lease.release(held)));
  }

  async #loadOrRelease(loads: readonly Load<Id>[], ticket: LoadTicket): Promise<void> {
    const beganMonotonicMs = performance.now();
    try {
      const ids = loads.map(({ id }) => id);
      const entries = await this.#loadEntries(ids, this.#source.timing.freshMs, ticket);
      for (const [place, load] of loads.entries()) load.entry = entries[place] as Entry;
      this.#usualLoadMs += (performance.now() - beganMonotonicMs - this.#usualLoadMs) * USUAL_LOAD_WEIGHT;
    } catch (error) {
      await this.#releaseAll(loads);
      throw error;
    }
  }

  async #loadEntries(ids: readonly Id[], freshMs: number, { beganAtMs }: LoadTicket): Promise<Entry[]> {
    const loaded = await this.#source.load(ids);
    assertAnswers(this.#source.name, ids.length, loaded);
    return loaded.values.map((json) => this.#entryOf(json, loaded.readAtUs, freshMs, beganAtMs));
  }

  #entryOf(json: string | null, readAtUs: number, freshMs: number, beganAtMs: number): Entry {
    const { absentMs, graceMs } = this.#source.timing;
    this.#jitter = (this.#jitter + GOLDEN_RATIO) % 1;
    const fresh = Math.round((json === null ? absentMs : freshMs) * (1 - this.#jitter * JITTER));
    const freshUntilMs = beganAtMs + fresh;
    return {
      kind: json === null ? 'absent' : 'value',
      readAtUs,
      freshUntilMs,
      staleUntilMs: json === null ? freshUntilMs : freshUntilMs + graceMs,
      json,
    };
  }
}

/** A loader that is wrong about its rows would put values under other ids. */
function assertAnswers(source: string, idsAsked: number, { values, readAtUs }: LoadedBatch): void {
  if (values.length !== idsAsked) {
    throw new SourceAnswerError(source, `${idsAsked} values, one for each id, not ${values.length}`);
  }
  if (readAtUs === StandbyError.READ_AT_US) throw new StandbyError();
  if (idsAsked > 0 && !(readAtUs > 0)) {
    throw new SourceAnswerError(source, `when the database began to read, in µs, not ${readAtUs}`);
  }
}

function reportFailure(error: unknown): void {
  log.warn('cache.load_failed', 'A stale or missing value could not be loaded.', { error });
}
