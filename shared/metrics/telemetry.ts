/** When metrics travel: at most every 15 s a container, beside the request and never failing it; at once after a warm-up. */
import type { TieredCache } from '../cache/tiered-cache.ts';
import { hasPassed } from '../clock.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { within } from '../within.ts';
import { FleetTotals, type Gauges } from './fleet-totals.ts';
import { Publisher, type Pushgateway } from './publisher.ts';
import { Recorder } from './recorder.ts';

const FLUSH_EVERY_MS = 15_000;
/** What a request may wait at most for metrics on their way. */
const REQUEST_TIMEOUT_MS = 250;
const PUBLISH_NOW_TIMEOUT_MS = 3_000;

export type CountedCache = Pick<TieredCache<never>, 'name' | 'counts'>;

export class Telemetry {
  readonly recorder = new Recorder();
  readonly #totals: FleetTotals;
  readonly #publisher: Publisher | undefined;
  readonly #caches: readonly CountedCache[];
  #flushedAtMs = 0;

  constructor(redis: GuardedRedis, pushgateway: Pushgateway | undefined, caches: readonly CountedCache[]) {
    this.#totals = new FleetTotals(redis, this.recorder);
    this.#publisher = pushgateway === undefined ? undefined : new Publisher(redis, this.#totals, pushgateway);
    this.#caches = caches;
  }

  /** Starts to hand on what was counted, if it is time; never rejects. Await it before the answer: a frozen container sends nothing. */
  async flushIfDue(): Promise<void> {
    if (!hasPassed(FLUSH_EVERY_MS, this.#flushedAtMs)) return;
    this.#collect();
    // A container's first request has nothing to tell yet; its second one need not wait 15 s to tell of it.
    if (this.#totals.isUpToDate) return;
    this.#flushedAtMs = Date.now();
    await settleWithin(REQUEST_TIMEOUT_MS, async () => {
      await this.#totals.add();
      await this.#publisher?.publishIfDue(REQUEST_TIMEOUT_MS);
    });
  }

  /** Hands on what is recorded; it is published with what comes next. Never rejects. */
  async flush(): Promise<void> {
    this.#collect();
    await settleWithin(REQUEST_TIMEOUT_MS, () => this.#totals.add());
  }

  /** Hands on what is recorded, and `gauges`, and publishes them now; never rejects. */
  async publishNow(gauges?: Gauges): Promise<void> {
    this.#collect();
    await settleWithin(PUBLISH_NOW_TIMEOUT_MS, async () => {
      await this.#totals.add(gauges);
      await this.#publisher?.publish(PUBLISH_NOW_TIMEOUT_MS);
    });
  }

  #collect(): void {
    for (const cache of this.#caches) this.#countCache(cache);
  }

  #countCache({ name, counts }: CountedCache): void {
    for (const layer of ['l1', 'hydrated', 'l2', 'stale'] as const) {
      this.recorder.count('cache_hits_total', [name, layer], counts[layer]);
      counts[layer] = 0;
    }
    this.recorder.count('cache_misses_total', [name], counts.miss);
    this.recorder.count('cache_corrupt_entries_total', [name], counts.corrupt);
    counts.miss = 0;
    counts.corrupt = 0;
  }
}

/** A failure is logged, and late work goes on, if the container is not frozen. */
async function settleWithin(timeoutMs: number, work: () => Promise<void>): Promise<void> {
  const told = work().catch((error) =>
    log.warn('metrics.flush_failed', 'Metrics could not be handed on; they are kept for the next time.', {
      error,
    }),
  );
  await within(timeoutMs, told);
}
