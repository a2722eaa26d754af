/** Loads what no layer has: one load per key in this process and, by a lease, in all; and stores it in both layers. */
import { LoadTooOldError, RedisUnavailableError, SourceAnswerError, StandbyError } from '../errors.ts';
import { log } from '../logger.ts';
import type { Admission, Verdict } from './admission.ts';
import type { Entry, LeaseMark } from './entry.ts';
import type { Layers, LoadTicket } from './layers.ts';
import type { Acquired, HeldLease, Lease, Place } from './lease.ts';
import type { PutOutcome } from './redis-layer.ts';
import { SingleFlight } from './single-flight.ts';
import type { LoadedBatch, Source } from './source.ts';

export type Warmed = {
  /** The keys whose values were stored, in their order. */
  readonly storedKeys: readonly string[];
  /** Of how many there is no such thing: that is stored too, for a moment. */
  readonly absent: number;
  /** Not stored, because something was there that was read later. */
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

/** Longer than a load takes that waited for another container first. Who joins it has checked the generation before. */
const LOAD_JOINABLE_MS = 5_000;
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

/** Keys of which Redis has something that is replaced: it is stale, or a tombstone. */
export type Stored = ReadonlyMap<string, 'stale' | 'tombstone'>;

const REPLACED: Verdict = { isStored: true, wasSeen: true };
const NOT_LOADED: Entry = { kind: 'absent', readAtUs: 0, freshUntilMs: 0, staleUntilMs: 0, json: null };

/** One of those that are loaded together, and what became of it. */
class Load<Id> {
  readonly id: Id;
  readonly key: string;
  held: HeldLease;
  readonly replaces: 'stale' | 'tombstone' | undefined;
  /** Where it is stored. */
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

  constructor(id: Id, key: string, held: HeldLease, stored: Stored) {
    this.id = id;
    this.key = key;
    this.held = held;
    this.replaces = stored.get(key);
  }

  get token(): string {
    return this.held.token;
  }

  /** Whoever stores it replaces the lease: not one beside it, or elsewhere because of a clear since the lease was taken. */
  get replacesLease(): boolean {
    return this.verdict.isStored && this.held.leaseKey === this.entryKey;
  }

  /** By when it was invalidated. */
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

export class Loader<Id> {
  readonly #source: Source<Id>;
  readonly #layers: Layers;
  readonly #lease: Lease;
  readonly #admission: Admission;
  /** Undefined for a refresh that another container makes. */
  readonly #loads = new SingleFlight<Entry | undefined>(LOAD_JOINABLE_MS);
  /** From 0 to 1; begins anywhere, so that containers differ. */
  #jitter = Math.random();
  /** How long a load of this dataset takes as a rule, in ms. */
  #usualLoadMs = USUAL_LOAD_MS;

  constructor(source: Source<Id>, layers: Layers, lease: Lease, admission: Admission) {
    this.#source = source;
    this.#layers = layers;
    this.#lease = lease;
    this.#admission = admission;
  }

  /** Nobody joins what is being loaded of `key`, or of any: it may be older than what the next caller must see. */
  forget(key: string | undefined): void {
    if (key === undefined) this.#loads.forgetAll();
    else this.#loads.forget(key);
  }

  underWay(key: string): Promise<Entry | undefined> | undefined {
    return this.#loads.get(key);
  }

  /**
   * What is loaded, here or by the container that leads. `stored` is what it replaces in Redis, `mark` the lease in its
   * place. Throws what the source throws.
   */
  async load(id: Id, key: string, stored: Stored, mark?: LeaseMark): Promise<Entry> {
    const loaded = await this.#runWith(mark, key, () =>
      mark?.isOurs
        ? this.#loadOne(id, key, this.#lease.holdInPlace(mark), stored)
        : this.#loadOrWait(id, key, stored, mark !== undefined),
    );
    return loaded ?? this.#loadOrWait(id, key, stored, true);
  }

  /**
   * What is loaded, for a caller who has something stale; undefined while another container leads. What is stale is the
   * answer of the caller alone, and of nobody who joins it:
   *   1. A reads what is stale               3. B asks, and is told of it: nobody joins what is under way
   *   2. another container invalidates it    4. A begins to refresh: B may join that, and must not be answered 1's
   */
  refresh(id: Id, key: string, stored: Stored, mark?: LeaseMark): Promise<Entry | undefined> {
    const refreshing = this.#runWith(mark, key, async () => {
      const acquired = await this.#tryAcquire(key, stored, mark);
      if (acquired === undefined) return undefined;
      return 'found' in acquired ? acquired.found : this.#loadOne(id, key, acquired.held, stored);
    });
    refreshing.catch(reportFailure);
    return refreshing;
  }

  /** A lease that was found to be ours, and is not needed. Never rejects. */
  giveBack(mark: LeaseMark): Promise<void> {
    return this.#lease.giveBack(mark);
  }

  /** Begins one load of all of `missing` that nobody else loads; answers their keys, which are under way then. */
  async loadMissing(missing: ReadonlyMap<string, Id>, stored: Stored): Promise<ReadonlySet<string>> {
    const acquired = await this.#acquireMany(
      [...missing.keys()].filter((key) => !this.underWay(key)),
      stored,
    );
    const owned = [...acquired.keys()].filter((key) => !this.underWay(key));
    if (owned.length > 0) this.#loadTogether(owned, missing, acquired, stored);
    const others = [...acquired].filter(([key]) => !owned.includes(key));
    await Promise.all(others.map(([, held]) => this.#lease.release(held)));
    return new Set(owned);
  }

  /**
   * Loads `ids` with one statement and stores them as a warm-up does, fresh for longer; what is newer already stays.
   * Throws what the source throws, `RedisUnavailableError`, or `LoadTooOldError`; all may be tried again.
   */
  async warm(ids: readonly Id[], { signal, onLoaded }: WarmOptions): Promise<Warmed> {
    const ticket = this.#layers.beginLoad();
    const beganAtMs = performance.now();
    const entries = await this.#loadEntries(ids, this.#source.timing.warmFreshMs, ticket);
    onLoaded?.(performance.now() - beganAtMs);
    // Between the load and the write is the last moment at which an owner that lost its lock can still hold back.
    signal?.throwIfAborted();
    const keys = ids.map((id) => this.#source.key(id));
    const writes = entries.map((entry, place) => {
      const key = keys[place] as string;
      return { key, entryKey: this.#layers.entryKey(key, ticket.generation), entry };
    });
    const outcomes = await this.#layers.putInRedis(ticket, writes);
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

  /** Joins the load under way for `key`, whose lease is another, or starts one by `work`, which takes over the one of `mark`. */
  #runWith(
    mark: LeaseMark | undefined,
    key: string,
    work: () => Promise<Entry | undefined>,
  ): Promise<Entry | undefined> {
    const joined = this.#loads.get(key);
    if (joined === undefined) return this.#loads.run(key, work);
    return mark === undefined ? joined : this.#lease.giveBack(mark).then(() => joined);
  }

  async #tryAcquire(key: string, stored: Stored, mark: LeaseMark | undefined): Promise<Acquired> {
    if (mark?.isOurs) return { held: this.#lease.holdInPlace(mark) };
    return mark === undefined
      ? this.#lease.tryAcquire(this.#layers.entryKey(key), this.#placeOf(key, stored.has(key)))
      : undefined;
  }

  #placeOf(key: string, isOccupied: boolean): Place {
    return { isOccupied, read: (token) => this.#layers.askAgain(key, token) };
  }

  async #loadOrWait(id: Id, key: string, stored: Stored, isLed: boolean): Promise<Entry> {
    const acquired = await this.#acquireOrWait(key, { isOccupied: stored.has(key), isLed });
    return 'found' in acquired ? acquired.found : this.#loadOne(id, key, acquired.held, stored);
  }

  #acquireOrWait(key: string, { isOccupied, isLed }: { isOccupied: boolean; isLed: boolean }) {
    return this.#lease.acquireOrWait(this.#layers.entryKey(key), {
      ...this.#placeOf(key, isOccupied),
      firstPollMs: Math.min(Math.max(this.#usualLoadMs, FIRST_POLL_MIN_MS), FIRST_POLL_MAX_MS),
      isLed,
      // Who waits has asked for it too, so the one that loads it stores it.
      onWait: () => this.#admission.note(key),
    });
  }

  async #loadOne(id: Id, key: string, held: HeldLease, stored: Stored): Promise<Entry> {
    const [load] = await this.#loadAndStore([new Load(id, key, held, stored)]);
    return (load as Load<Id>).answer;
  }

  /** What another container stored meanwhile, or loads, is waited for by who reads it. */
  async #acquireMany(keys: readonly string[], stored: Stored): Promise<Map<string, HeldLease>> {
    const acquired = new Map<string, HeldLease>();
    const tryBeside = async (key: string) => {
      const held = await this.#lease.acquireBeside(this.#layers.entryKey(key));
      if (held !== undefined) acquired.set(key, held);
    };
    const tryInPlace = async (some: readonly string[]) => {
      const found = await this.#layers.takeLeases(some);
      for (const [place, mark] of found.entries()) {
        if (mark?.kind === 'lease' && mark.isOurs)
          acquired.set(some[place] as string, this.#lease.holdInPlace(mark));
      }
      await Promise.all(some.filter((_, place) => found[place] === undefined).map(tryBeside));
    };
    const missing = keys.filter((key) => !stored.has(key));
    const occupied = keys.filter((key) => stored.has(key));
    await Promise.all([tryInPlace(missing), ...occupied.map(tryBeside)]);
    return acquired;
  }

  #loadTogether(
    keys: readonly string[],
    missing: ReadonlyMap<string, Id>,
    acquired: ReadonlyMap<string, HeldLease>,
    stored: Stored,
  ): void {
    const batch = this.#loadAndStore(
      keys.map((key) => new Load(missing.get(key) as Id, key, acquired.get(key) as HeldLease, stored)),
    );
    batch.catch(reportFailure);
    for (const [place, key] of keys.entries()) {
      const flight = this.#loads.run(key, async () => ((await batch)[place] as Load<Id>).answer);
      // Whoever joins it hears of its failure; a flight that an invalidation made everybody forget has nobody.
      flight.catch(() => undefined);
    }
  }

  /**
   * Loads and stores; what is stored then is each one's `answer`. The interleaving that the repetition closes, for one id:
   *   1. this load reads the row (old)      3. the owner invalidates: a tombstone
   *   2. the owner commits the new row      4. this write is refused; a caller who came after 3 may be waiting for it
   * What is refused for a tombstone that was there when the load began is newer all the same, and not loaded again: the
   * database's clock was set back, and says otherwise. What is stale in Redis is replaced whatever it is.
   */
  async #loadAndStore(loads: readonly Load<Id>[]): Promise<readonly Load<Id>[]> {
    const ticket = this.#layers.beginLoad();
    await this.#loadOrRelease(loads, ticket);
    await this.#judge(ticket.generation, loads);
    const reported = this.#admission.reportIfDue();
    await this.#putAndRelease(ticket, loads);
    await reported;
    const overtaken = loads.filter(
      ({ tombstone, overtakenBy, reloads }) =>
        tombstone !== undefined && tombstone !== overtakenBy && reloads < RELOADS_MAX,
    );
    // Too late for Redis is too late for memory: an invalidation that would have been heard of may be forgotten.
    const isLate = loads.some(({ outcome }) => outcome === 'late');
    if (!isLate) this.#putInMemory(ticket, loads);
    if (overtaken.length > 0) await Promise.all(overtaken.map((load) => this.#loadAgain(load)));
    return loads;
  }

  /** As one of all, who may have begun to load it when it was invalidated. Its failure is its own, not that of the others. */
  async #loadAgain(load: Load<Id>): Promise<void> {
    load.reloads++;
    load.overtakenBy = load.tombstone;
    try {
      await this.#acquireAndLoad(load);
    } catch (error) {
      load.failure = error;
    }
  }

  async #acquireAndLoad(load: Load<Id>): Promise<void> {
    const acquired = await this.#acquireOrWait(load.key, { isOccupied: true, isLed: false });
    if ('found' in acquired) {
      load.outcome = acquired.found;
      return;
    }
    load.held = acquired.held;
    await this.#loadAndStore([load]);
  }

  #putInMemory(ticket: LoadTicket, loads: readonly Load<Id>[]): void {
    for (const { key, answer, verdict, tombstone } of loads) {
      const amongMany = loads.length > 1 || !verdict.wasSeen;
      if (tombstone === undefined) this.#layers.putInMemory(ticket, key, answer, amongMany);
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

  /** Whoever stores replaces a lease in place; the others are released, as a rule after it: who leads next finds what was stored. */
  async #putAndRelease(ticket: LoadTicket, loads: readonly Load<Id>[]): Promise<void> {
    for (const load of loads) {
      load.entryKey = this.#layers.entryKey(load.key, ticket.generation);
      load.outcome = undefined;
    }
    const putting = this.#put(ticket, loads);
    if (!this.#layers.putsInOneTrip) await putting;
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
    const found = await this.#layers.askAgain(load.key);
    if (found?.kind === 'tombstone') load.outcome = found;
  }

  /** False when Redis did not answer. */
  async #put(ticket: LoadTicket, loads: readonly Load<Id>[]): Promise<boolean> {
    const stored = loads.filter(({ verdict }) => verdict.isStored);
    const outcomes = await this.#layers.putInRedis(ticket, stored);
    for (const [place, load] of stored.entries()) load.outcome = outcomes?.[place];
    return outcomes !== undefined;
  }

  async #releaseAll(loads: readonly Load<Id>[]): Promise<void> {
    if (loads.length > 0) await Promise.all(loads.map(({ held }) => this.#lease.release(held)));
  }

  async #loadOrRelease(loads: readonly Load<Id>[], ticket: LoadTicket): Promise<void> {
    const beganAtMs = performance.now();
    try {
      const ids = loads.map(({ id }) => id);
      const entries = await this.#loadEntries(ids, this.#source.timing.freshMs, ticket);
      for (const [place, load] of loads.entries()) load.entry = entries[place] as Entry;
      this.#usualLoadMs += (performance.now() - beganAtMs - this.#usualLoadMs) * USUAL_LOAD_WEIGHT;
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
  log.warn('What is stale or missing could not be loaded.', { error });
}
