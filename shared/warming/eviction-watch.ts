/** Notices that Redis is full, and evicts what a warm-up stored while it stores more: the hottest, which came first; or that it will be. */
import type { Warmed } from '../cache/loader.ts';
import { RedisUnavailableError } from '../errors.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { readEvictedKeys, readMaxMemoryBytes } from '../redis/memory-usage.ts';
import type { WarmableDataset } from './dataset-warmer.ts';

/** How many stored keys of each dataset are looked up. */
const SAMPLE = 200;
/**
 * When more than so many of a sample are gone, Redis evicts. Fewer may have been invalidated, or found deleted, since they were
 * stored, in a Redis that evicts what nobody reads all the time.
 */
const GONE_MAX = 4;

/** The part of the server's memory for what is warmed of all datasets. Readers store a third, the rankings are a tenth. */
const WARM_SHARE = 0.5;
/** How many entries of each dataset are weighed. */
const WEIGHED_SAMPLE = 100;

type Stored = {
  readonly generation: string;
  readonly keys: string[];
  /** How many others were there already. */
  found: number;
};

export class EvictionWatch {
  readonly #redis: GuardedRedis;
  readonly #stored = new Map<WarmableDataset, Stored>();
  #evictedBefore: number | undefined;
  #sawEviction = false;

  constructor(redis: GuardedRedis) {
    this.#redis = redis;
  }

  /** Redis has evicted some of what was stored: whatever else is stored costs more of it. */
  get sawEviction(): boolean {
    return this.#sawEviction;
  }

  async begin(): Promise<void> {
    this.#evictedBefore = await this.#readEvicted();
  }

  /** Takes in what was stored, under which generation, and how much was there already. */
  add(dataset: WarmableDataset, { storedKeys, newerStored, generation }: Warmed): void {
    const before = this.#stored.get(dataset);
    // What was there under another one was cleared.
    const stored = before?.generation === generation ? before : { generation, keys: [], found: 0 };
    stored.keys.push(...storedKeys);
    stored.found += newerStored;
    this.#stored.set(dataset, stored);
  }

  /**
   * Looks whether what was stored is there. What is gone was evicted only if Redis has evicted something meanwhile, and if
   * it is more than a few: an id that was invalidated is gone too, a minute later. Never rejects.
   */
  async look(): Promise<void> {
    const evicted = await this.#readEvicted();
    this.#evictedBefore ??= evicted;
    // A server that was started anew counts from 0.
    if (evicted === undefined || evicted <= (this.#evictedBefore ?? evicted)) return;
    for (const [dataset, stored] of this.#stored) {
      if (await isIncomplete(dataset, stored).catch(ignoreUnavailable)) this.#sawEviction = true;
    }
  }

  /** Whether all that was stored is less than what warm-ups may take. What the server does not tell is no limit. Never rejects. */
  async hasRoom(): Promise<boolean> {
    const maxBytes = await readMaxMemoryBytes(this.#redis).catch(ignoreUnavailable);
    if (!maxBytes) return true;
    let bytes = 0;
    for (const [dataset, { keys, found }] of this.#stored) {
      const weighing = dataset.bytesOfOne(sampleOf(keys, WEIGHED_SAMPLE));
      bytes += (keys.length + found) * ((await weighing.catch(ignoreUnavailable)) ?? 0);
    }
    return bytes < maxBytes * WARM_SHARE;
  }

  #readEvicted(): Promise<number | undefined> {
    return readEvictedKeys(this.#redis).catch(ignoreUnavailable);
  }
}

/** A clear makes all of it invisible, and evicts nothing. */
async function isIncomplete(dataset: WarmableDataset, { generation, keys }: Stored): Promise<boolean> {
  const missing = await dataset.missing(sampleOf(keys, SAMPLE));
  return missing.length > GONE_MAX && (await dataset.generation()) === generation;
}

/** At most `size` of `items`, evenly from first to last. */
export function sampleOf<T>(items: readonly T[], size: number): T[] {
  if (items.length <= size) return [...items];
  return Array.from({ length: size }, (_, place) => items[Math.floor((place * items.length) / size)] as T);
}

function ignoreUnavailable(error: unknown): undefined {
  if (!(error instanceof RedisUnavailableError)) throw error;
}
