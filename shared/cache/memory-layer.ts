/** L1: the entries that this container keeps in its own memory; what is read again stays, whatever passes by once. */
import type { Entry } from './entry.ts';
import { Eviction, Place } from './eviction.ts';
import { SeenKeys } from './seen-keys.ts';

/** `l1` was put there by a read, `hydrated` before this container's first request. */
export type MemoryOrigin = 'l1' | 'hydrated';

/** An answer from memory: frozen, because all who ask get the same one. */
export type MemoryRead = { readonly json: string | null; readonly layer: MemoryOrigin };

/** Answered from memory until `untilMs` by the wall clock; never later than the entry is fresh. */
class MemoryEntry extends Place {
  entry: Entry;
  origin: MemoryOrigin;
  /** Hits that were not reported yet: all that a hit pays for being counted, for the metrics and for the warmer. */
  hits = 0;
  /** Made by the first hit: most entries of a scan never have one. */
  read: MemoryRead | undefined;

  constructor(key: string, entry: Entry, origin: MemoryOrigin) {
    super(key);
    this.entry = entry;
    this.origin = origin;
  }
}

type Begins = Parameters<Eviction['add']>[1];

/** Lists overwrite each other's keys: with so many times the places, hardly any before it is asked for again. */
const ASKED_ONCE_PER_PLACE = 8;

type MemoryOptions = {
  readonly entriesMax: number;
  readonly keepMs: number;
  /** Called with an entry's hits since the last time, when it leaves or by `flushHitCounts`. */
  readonly onHits: (key: string, hits: number, entry: Entry, origin: MemoryOrigin) => void;
};

/**
 * Expiry is a comparison with the wall clock: a monotonic one may stand still while a Lambda is frozen. A hit counts and
 * sets a bit; it moves nothing.
 */
export class MemoryLayer {
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #eviction: Eviction;
  /** Keys that were asked for among many, and have no place yet. */
  readonly #askedOnce: SeenKeys;
  readonly #entriesMax: number;
  readonly #keepMs: number;
  readonly #onHits: MemoryOptions['onHits'];

  constructor(options: MemoryOptions) {
    this.#entriesMax = options.entriesMax;
    this.#keepMs = options.keepMs;
    this.#onHits = options.onHits;
    this.#eviction = new Eviction(options.entriesMax);
    this.#askedOnce = new SeenKeys(options.entriesMax * ASKED_ONCE_PER_PLACE);
  }

  get(key: string, nowMs: number): MemoryRead | undefined {
    const found = this.#entries.get(key);
    if (found === undefined || nowMs >= found.untilMs) return undefined;
    found.read ??= Object.freeze({ json: found.entry.json, layer: found.origin });
    found.hits++;
    found.wasHit = true;
    return found.read;
  }

  /** Whether `get` would find it; counts as no use of the entry. */
  has(key: string, nowMs: number): boolean {
    const found = this.#entries.get(key);
    return found !== undefined && nowMs < found.untilMs;
  }

  /** The places of those of `keys` that `get` would not find. */
  placesWithout(keys: readonly string[], nowMs: number): number[] {
    const places: number[] = [];
    for (let place = 0; place < keys.length; place++)
      if (!this.has(keys[place] as string, nowMs)) places.push(place);
    return places;
  }

  /** What was answered before and may be answered again if nothing newer can be had. */
  getStale(key: string, nowMs: number): Entry | undefined {
    const found = this.#entries.get(key);
    return found !== undefined && nowMs < found.entry.staleUntilMs ? found.entry : undefined;
  }

  /** `amongMany` says that it was asked for in a list. */
  put(key: string, entry: Entry, nowMs: number, amongMany: boolean): void {
    if (amongMany) this.setAmongMany(key, entry, nowMs);
    else this.set(key, entry, nowMs);
  }

  /** What was hydrated is what people read: it begins as frequent. */
  set(key: string, entry: Entry, nowMs: number, origin: MemoryOrigin = 'l1'): void {
    this.#put(key, entry, nowMs, origin, origin === 'hydrated' ? 'frequent' : 'as it comes back');
  }

  /**
   * For what was asked for among many: a crawler asks so, for each key once, and none of them is worth a place. Where there
   * is no room a key gets one at its second request.
   */
  setAmongMany(key: string, entry: Entry, nowMs: number): void {
    if (this.#hasRoom || this.#entries.has(key) || this.#askedOnce.take(key))
      this.#put(key, entry, nowMs, 'l1', 'recent');
    else this.#askedOnce.add(key);
  }

  forget(key: string): void {
    const stored = this.#entries.get(key);
    if (stored === undefined) return;
    this.#eviction.remove(stored);
    this.#take(stored);
  }

  forgetAll(): void {
    this.flushHitCounts();
    this.#eviction.clear();
    this.#entries.clear();
  }

  /** Reports all hits that were not reported yet. */
  flushHitCounts(): void {
    for (const memory of this.#entries.values()) this.#flushHits(memory);
  }

  get #hasRoom(): boolean {
    return this.#entries.size < this.#entriesMax;
  }

  #put(key: string, entry: Entry, nowMs: number, origin: MemoryOrigin, begins: Begins): void {
    const stored = this.#entries.get(key);
    // Two loads of one key may end in either order; the older one must not win here either.
    if (stored !== undefined && stored.entry.readAtUs > entry.readAtUs) return;
    const memory = stored ?? this.#add(key, entry, nowMs, origin, begins);
    this.#flushHits(memory);
    memory.entry = entry;
    memory.origin = origin;
    memory.read = undefined;
    memory.untilMs = Math.min(nowMs + this.#keepMs, entry.freshUntilMs);
  }

  #add(key: string, entry: Entry, nowMs: number, origin: MemoryOrigin, begins: Begins): MemoryEntry {
    if (!this.#hasRoom) this.#take(this.#eviction.shift(nowMs) as MemoryEntry);
    const added = new MemoryEntry(key, entry, origin);
    this.#eviction.add(added, begins);
    this.#entries.set(key, added);
    return added;
  }

  #take(memory: MemoryEntry): void {
    this.#entries.delete(memory.key);
    this.#flushHits(memory);
  }

  #flushHits(memory: MemoryEntry): void {
    if (memory.hits === 0) return;
    this.#onHits(memory.key, memory.hits, memory.entry, memory.origin);
    memory.hits = 0;
  }
}
