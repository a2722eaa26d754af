/** Fills a new container's memory before its first request: with what is hot, from Redis alone, in one MGET. */
import type { TieredCache } from '../cache/tiered-cache.ts';
import { hasPassed } from '../clock.ts';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { within } from '../within.ts';
import { readManifest } from './hot-keys.ts';

/** A start waits no longer than this for being warm. */
const TIMEOUT_MS = 200;

/** What of a cache is needed; ids do not matter here. */
type HydratedCache = Pick<TieredCache<never>, 'name' | 'checkGeneration' | 'planHydration' | 'hydrate'>;

/** A request waits no longer than this for those that come after it; what is filled later counts all the same. */
const BESIDE_REQUEST_MS = 5;
/** Half of what an entry lives in memory: what is older may be gone before the first hundred requests are answered. */
const AGED_MS = 30_000;

export type Hydrated = { readonly keys: number; readonly durationMs: number };

/**
 * A container's memory before its first request: most containers are started before they are needed, and what they took
 * along has gone by then.
 */
export class Hydration {
  readonly #redis: GuardedRedis;
  readonly #caches: readonly HydratedCache[];
  #filledAtMs = 0;
  #isUsed = false;

  constructor(redis: GuardedRedis, caches: readonly HydratedCache[]) {
    this.#redis = redis;
    this.#caches = caches;
  }

  /** Call it when the container starts. Never rejects. */
  async fill(): Promise<Hydrated> {
    this.#filledAtMs = Date.now();
    return hydrate(this.#redis, this.#caches);
  }

  /** Call it beside every request, and await it: the first one fills memory again if that has aged. Never rejects. */
  async fillAgainIfAged(): Promise<void> {
    if (this.#isUsed) return;
    this.#isUsed = true;
    if (!hasPassed(AGED_MS, this.#filledAtMs)) return;
    const hydrated = await hydrate(this.#redis, this.#caches, BESIDE_REQUEST_MS);
    log.info('memory.hydrated_again', 'Memory is filled again at the first request.', hydrated);
  }
}

/**
 * Answers how many entries are in memory now. Never rejects: without Redis, without a manifest or with one that cannot be
 * read, the container starts with an empty memory.
 */
export async function hydrate(
  redis: GuardedRedis,
  caches: readonly HydratedCache[],
  timeoutMs = TIMEOUT_MS,
): Promise<Hydrated> {
  const beganMonotonicMs = performance.now();
  const filling = fill(redis, caches).catch((error) => {
    const level = error instanceof RedisUnavailableError ? 'info' : 'error';
    log[level]('memory.hydration_failed', 'Starting with an empty memory.', { error });
    return 0;
  });
  const filled = (await within(timeoutMs, filling)) ?? 0;
  return { keys: filled, durationMs: performance.now() - beganMonotonicMs };
}

/**
 * Two round trips: the manifest and the generation checks, then the entries, so that none of them is older than
 * what the checks said. What comes after the timeout still counts, unless a clear was noticed meanwhile.
 */
async function fill(redis: GuardedRedis, caches: readonly HydratedCache[]): Promise<number> {
  const [manifest, ...checks] = await Promise.all([
    readManifest(redis),
    ...caches.map((cache) => cache.checkGeneration()),
  ]);
  const plan = caches
    .filter((_, index) => checks[index])
    .map((cache) => ({ cache, keys: cache.planHydration(manifest.get(cache.name) ?? []) }));
  const entryKeys = plan.flatMap(({ keys }) => keys.entryKeys);
  const texts = await redis.readTexts(entryKeys, true);
  let from = 0;
  let filled = 0;
  for (const { cache, keys } of plan) {
    filled += cache.hydrate(keys, texts.slice(from, from + keys.entryKeys.length));
    from += keys.entryKeys.length;
  }
  return filled;
}
