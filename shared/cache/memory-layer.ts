/** L1: the entries that this container keeps in its own memory, the least recently used out first. */
import { LRUCache } from 'lru-cache';
import type { Entry } from './entry.ts';

/** `l1` was put there by a read, `hydrated` before this container's first request. */
export type MemoryOrigin = 'l1' | 'hydrated';

/** An answer from memory: frozen, because all who ask get the same one. */
export type MemoryRead = { readonly json: string | null; readonly layer: MemoryOrigin };

type MemoryEntry = {
  readonly entry: Entry;
  readonly origin: MemoryOrigin;
  /** Hits that nobody was told of yet: all that a hit pays for being counted, for the metrics and for the warmer. */
  hits: number;
  /** Made by the first hit: most entries of a scan never have one. */
  read: MemoryRead | undefined;
  /** Answered from memory until this wall-clock time in ms; never later than the entry is fresh. */
  readonly untilMs: number;
};

type MemoryOptions = {
  readonly entriesMax: number;
  readonly keepMs: number;
  /** Called with an entry's hits since the last time, when it leaves or by `tellAllHits`. */
  readonly onHits: (key: string, hits: number, entry: Entry, origin: MemoryOrigin) => void;
};

/**
 * Expiry is a comparison with the wall clock here, not the LRU's own: its clock is monotonic, which may stand still
 * while a Lambda is frozen, and it believes a time for a moment after it read it.
 */
export class MemoryLayer {
  readonly #entries: LRUCache<string, MemoryEntry>;
  /** Keys that were asked for among many, and have no place yet. */
  readonly #askedOnce: LRUCache<string, true>;
  readonly #keepMs: number;
  readonly #onHits: MemoryOptions['onHits'];

  constructor(options: MemoryOptions) {
    this.#onHits = options.onHits;
    this.#keepMs = options.keepMs;
    this.#entries = new LRUCache({
      max: options.entriesMax,
      dispose: (left, key) => {
        if (left.hits > 0) this.#tellHits(key, left);
      },
    });
    this.#askedOnce = new LRUCache({ max: options.entriesMax });
  }

  get(key: string, nowMs: number): MemoryRead | undefined {
    const found = this.#entries.get(key);
    if (found === undefined || nowMs >= found.untilMs) return undefined;
    found.read ??= Object.freeze({ json: found.entry.json, layer: found.origin });
    found.hits++;
    return found.read;
  }

  /** Whether `get` would find it; counts as no use of the entry. */
  has(key: string, nowMs: number): boolean {
    const found = this.#entries.peek(key);
    return found !== undefined && nowMs < found.untilMs;
  }

  /** What was answered before and may be answered again if nothing newer can be had. */
  getStale(key: string, nowMs: number): Entry | undefined {
    const found = this.#entries.peek(key);
    return found !== undefined && nowMs < found.entry.staleUntilMs ? found.entry : undefined;
  }

  set(key: string, entry: Entry, nowMs: number, origin: MemoryOrigin = 'l1'): void {
    const stored = this.#entries.peek(key);
    // Two loads of one key may end in either order; the older one must not win here either.
    if (stored !== undefined && stored.entry.readAtUs > entry.readAtUs) return;
    this.#entries.set(key, {
      entry,
      origin,
      hits: 0,
      read: undefined,
      untilMs: Math.min(nowMs + this.#keepMs, entry.freshUntilMs),
    });
  }

  /**
   * For what was asked for among many: a crawler asks so, for each key once, and would take the place of all that is hot.
   * Where there is no room it gets one at its second request.
   */
  setAmongMany(key: string, entry: Entry, nowMs: number): void {
    const hasRoom = this.#entries.size < this.#entries.max;
    if (hasRoom || this.#entries.has(key) || this.#askedOnce.delete(key)) this.set(key, entry, nowMs);
    else this.#askedOnce.set(key, true);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Tells of all hits that were not told of yet. */
  tellAllHits(): void {
    for (const [key, entry] of this.#entries.entries()) if (entry.hits > 0) this.#tellHits(key, entry);
  }

  #tellHits(key: string, memory: MemoryEntry): void {
    this.#onHits(key, memory.hits, memory.entry, memory.origin);
    memory.hits = 0;
  }
}
