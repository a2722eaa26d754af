/** A container's memory beside a naive model of it: whatever is done to both, they have the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../../shared/cache/entry.ts';
import { MemoryLayer } from '../../../../shared/cache/memory-layer.ts';
import { SeenKeys } from '../../../../shared/cache/seen-keys.ts';

const BEGIN_MS = 1_800_000_000_000;
const KEEP_MS = 60_000;
const STALE_UNTIL_MS = BEGIN_MS + 1_000 * KEEP_MS;
const ENTRIES_MAX = 4;
const KEYS = Array.from({ length: 50 }, (_, place) => `key-${place}`);
const RUNS = { seed: 35, numRuns: 100 };

type Item = {
  readonly key: string;
  readonly readAtUs: number;
  readonly untilMs: number;
  wasHit: boolean;
};

/** What a container's memory keeps, as lists that are searched from end to end: slow, and small enough to be believed. */
class NaiveMemory {
  readonly #placesMax: number;
  readonly #keepMs: number;
  #recent: Item[] = [];
  #frequent: Item[] = [];
  readonly #leftRecent: SeenKeys;
  readonly #leftFrequent: SeenKeys;
  readonly #askedOnce: SeenKeys;
  #recentWanted = 0;

  constructor(placesMax: number, keepMs: number) {
    this.#placesMax = placesMax;
    this.#keepMs = keepMs;
    this.#leftRecent = new SeenKeys(8 * placesMax);
    this.#leftFrequent = new SeenKeys(placesMax);
    this.#askedOnce = new SeenKeys(8 * placesMax);
  }

  /** When what it has of `key` was read, fresh or not. */
  readAtUs(key: string): number | undefined {
    return this.#find(key)?.readAtUs;
  }

  has(key: string, nowMs: number): boolean {
    return nowMs < (this.#find(key)?.untilMs ?? 0);
  }

  get(key: string, nowMs: number): number | undefined {
    if (!this.has(key, nowMs)) return undefined;
    const item = this.#find(key) as Item;
    item.wasHit = true;
    return item.readAtUs;
  }

  set(key: string, readAtUs: number, freshUntilMs: number, nowMs: number, isFrequent: boolean): void {
    this.#put(key, readAtUs, freshUntilMs, nowMs, () => this.#comesBack(key) || isFrequent);
  }

  #put(key: string, readAtUs: number, freshUntilMs: number, nowMs: number, isFrequent: () => boolean): void {
    const old = this.#find(key);
    if (old !== undefined && old.readAtUs > readAtUs) return;
    const untilMs = Math.min(nowMs + this.#keepMs, freshUntilMs);
    const item = { key, readAtUs, untilMs, wasHit: old?.wasHit ?? false };
    const replace = (each: Item) => (each === old ? item : each);
    this.#recent = this.#recent.map(replace);
    this.#frequent = this.#frequent.map(replace);
    if (old !== undefined) return;
    if (this.#isFull) this.#evict(nowMs);
    (isFrequent() ? this.#frequent : this.#recent).push(item);
  }

  setAmongMany(key: string, readAtUs: number, freshUntilMs: number, nowMs: number): void {
    const needsSecondRequest = this.#isFull && this.#find(key) === undefined;
    if (needsSecondRequest && !this.#askedOnce.take(key)) this.#askedOnce.add(key);
    else this.#put(key, readAtUs, freshUntilMs, nowMs, () => false);
  }

  forget(key: string): void {
    this.#recent = this.#recent.filter((item) => item.key !== key);
    this.#frequent = this.#frequent.filter((item) => item.key !== key);
  }

  forgetAll(): void {
    this.#recent = [];
    this.#frequent = [];
  }

  get #isFull(): boolean {
    return this.#recent.length + this.#frequent.length === this.#placesMax;
  }

  #find(key: string): Item | undefined {
    return [...this.#recent, ...this.#frequent].find((item) => item.key === key);
  }

  #evict(nowMs: number): void {
    const fromRecent =
      this.#recent.length > 0 && (this.#recent.length >= this.#recentWanted || this.#frequent.length === 0);
    const item = (fromRecent ? this.#recent : this.#frequent).shift() as Item;
    const stays = item.wasHit && nowMs < item.untilMs;
    item.wasHit = false;
    if (stays) {
      this.#frequent.push(item);
      this.#evict(nowMs);
    } else (fromRecent ? this.#leftRecent : this.#leftFrequent).add(item.key);
  }

  #comesBack(key: string): boolean {
    const step = this.#placesMax / 50;
    if (this.#leftRecent.take(key)) this.#recentWanted = Math.min(this.#placesMax, this.#recentWanted + step);
    else if (this.#leftFrequent.take(key)) this.#recentWanted = Math.max(0, this.#recentWanted - 8 * step);
    else return false;
    return true;
  }
}

type Put = {
  readonly what: 'set' | 'hydrate' | 'setAmongMany';
  readonly key: string;
  readonly readAtUs: number;
  readonly freshMs: number;
};
type Step =
  | Put
  | { readonly what: 'get'; readonly key: string }
  | { readonly what: 'delete'; readonly key: string }
  | { readonly what: 'pass'; readonly ms: number }
  | { readonly what: 'tell' }
  | { readonly what: 'clear' };

/** Half of all steps are about a few keys, so that some are hit, leave and come back. */
const key = fc.oneof(fc.constantFrom(...KEYS.slice(0, 6)), fc.constantFrom(...KEYS));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ what: fc.constant('get' as const), key }) },
  {
    weight: 16,
    arbitrary: fc.record({
      what: fc.constantFrom('set', 'set', 'hydrate', 'setAmongMany'),
      key,
      readAtUs: fc.integer({ min: 1, max: 3 }),
      freshMs: fc.constantFrom(KEEP_MS / 2, 10 * KEEP_MS),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.nat(KEEP_MS) }) },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ what: 'tell' }, { what: 'tell' }, { what: 'clear' }) },
);
const steps = fc.array(step, { minLength: 50, maxLength: 250, size: 'max' });

class Both {
  readonly told = new Map<string, number>();
  readonly hits = new Map<string, number>();
  readonly memory = new MemoryLayer({
    entriesMax: ENTRIES_MAX,
    keepMs: KEEP_MS,
    onHits: (hitKey, hits) => add(this.told, hitKey, hits),
  });
  readonly #model = new NaiveMemory(ENTRIES_MAX, KEEP_MS);
  #nowMs = BEGIN_MS;

  take(next: Step): void {
    if ('readAtUs' in next) this.#put(next);
    else if (next.what === 'get') this.#get(next.key);
    else if (next.what === 'delete') for (const each of [this.memory, this.#model]) each.forget(next.key);
    else if (next.what === 'clear') for (const each of [this.memory, this.#model]) each.forgetAll();
    else if (next.what === 'tell') this.memory.flushHitCounts();
    else this.#nowMs += next.ms;
  }

  readAtUs(asked: string): number | undefined {
    return this.memory.getStale(asked, this.#nowMs)?.readAtUs;
  }

  expectTheSame(): void {
    expect(KEYS.map((each) => this.readAtUs(each))).toEqual(KEYS.map((each) => this.#model.readAtUs(each)));
    const isFresh = (each: string) => this.memory.has(each, this.#nowMs);
    expect(KEYS.filter(isFresh)).toEqual(KEYS.filter((each) => this.#model.has(each, this.#nowMs)));
  }

  #get(asked: string): void {
    const read = this.memory.get(asked, this.#nowMs);
    expect(read?.json).toBe(this.#model.get(asked, this.#nowMs)?.toString());
    if (read !== undefined) add(this.hits, asked, 1);
  }

  #put({ what, key: put, readAtUs, freshMs }: Put): void {
    const freshUntilMs = this.#nowMs + freshMs;
    const json = String(readAtUs);
    const entry: Entry = { kind: 'value', json, readAtUs, freshUntilMs, staleUntilMs: STALE_UNTIL_MS };
    if (what === 'setAmongMany') {
      this.memory.setAmongMany(put, entry, this.#nowMs);
      this.#model.setAmongMany(put, readAtUs, freshUntilMs, this.#nowMs);
      return;
    }
    this.memory.set(put, entry, this.#nowMs, what === 'hydrate' ? 'hydrated' : 'l1');
    this.#model.set(put, readAtUs, freshUntilMs, this.#nowMs, what === 'hydrate');
  }
}

function add(counts: Map<string, number>, counted: string, by: number): void {
  counts.set(counted, (counts.get(counted) ?? 0) + by);
}

/** Calls `look` after each step of many random ones, and `end` after the last. */
function tryMany(look: (both: Both, taken: Step, before: Both['readAtUs']) => void, end = (_: Both) => {}) {
  const run = fc.property(steps, (taken) => {
    const both = new Both();
    for (const each of taken) {
      const before = new Map(KEYS.map((asked) => [asked, both.readAtUs(asked)]));
      both.take(each);
      look(both, each, (asked) => before.get(asked));
    }
    end(both);
  });
  fc.assert(run, RUNS);
}

describe('whatever is asked, stored, deleted, cleared and expires', () => {
  it('memory has what the model has', () => {
    tryMany((both) => both.expectTheSame());
  });

  it('never has more entries than there are places', () => {
    tryMany((both) => {
      const inMemory = KEYS.filter((each) => both.readAtUs(each) !== undefined);
      expect(inMemory.length).toBeLessThanOrEqual(ENTRIES_MAX);
    });
  });

  it('never has something older in place of what was read later', () => {
    tryMany((both, taken, before) => {
      if (!('readAtUs' in taken)) return;
      expect(both.readAtUs(taken.key) ?? 0).toBeGreaterThanOrEqual(before(taken.key) ?? 0);
    });
  });

  it('what is deleted is gone', () => {
    tryMany((both, taken) => {
      if (taken.what === 'delete') expect(both.readAtUs(taken.key)).toBeUndefined();
      if (taken.what === 'clear')
        expect(KEYS.filter((each) => both.readAtUs(each) !== undefined)).toEqual([]);
    });
  });

  it('each hit is told once', () => {
    tryMany(
      () => {},
      ({ memory, told, hits }) => {
        memory.flushHitCounts();
        expect(told).toEqual(hits);
      },
    );
  });
});
