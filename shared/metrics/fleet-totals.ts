/** The totals of all containers, in Redis: a Pushgateway overwrites what it is sent, so the adding is done here. */
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import type { Series } from './definitions.ts';
import type { Flush, Recorder } from './recorder.ts';

/**
 * What was last measured somewhere; `order` says which of two measurements is the later one. A metric is measured as a
 * whole: series of it that are not among `values` are forgotten.
 */
export type Gauges = { readonly order: number; readonly values: ReadonlyMap<Series, number> };

/** For so long a flush that is sent again is known to be the same. */
const FLUSHED_REMEMBERED_MS = 600_000;

const METRIC_KEYS = {
  [keys.metricTotals]: 'hash',
  [keys.metricFlushed]: 'zset',
  [keys.metricGauges]: 'hash',
  [keys.metricGaugesOrder]: 'string',
} as const;

export class FleetTotals {
  readonly #redis: GuardedRedis;
  readonly #recorder: Recorder;
  /** Sent, but nobody knows whether it arrived. */
  #pending: Flush | undefined;
  /** Not known to have arrived. */
  #pendingGauges: Gauges | undefined;

  constructor(redis: GuardedRedis, recorder: Recorder) {
    this.#redis = redis;
    this.#recorder = recorder;
  }

  /** Nothing was counted since the last flush that arrived. */
  get isUpToDate(): boolean {
    return this.#pending === undefined && this.#pendingGauges === undefined && this.#recorder.isEmpty;
  }

  /**
   * Adds what this container counted, and sets `gauges` unless some of a higher order were set before. Throws
   * `RedisUnavailableError`; nothing is lost then, nor counted twice if it is called again within ten minutes. A second call may begin before the first one ended:
   * both send the same flush, which counts once, and only its own end ends it.
   */
  async add(gauges?: Gauges): Promise<void> {
    if (gauges !== undefined && gauges.order >= (this.#pendingGauges?.order ?? 0))
      this.#pendingGauges = gauges;
    await this.#sendPending();
    this.#pending ??= this.#recorder.takeIncrements();
    await this.#sendPending();
    await this.#sendGauges();
  }

  /** All totals and gauges of the fleet, by series. */
  async read(): Promise<Record<string, string>> {
    const [totals, gauges] = await withOwnTypes(this.#redis, METRIC_KEYS, (redis) =>
      Promise.all([redis.hgetall(keys.metricTotals), redis.hgetall(keys.metricGauges)]),
    );
    return { ...totals, ...gauges };
  }

  async #sendPending(): Promise<void> {
    const flush = this.#pending;
    if (flush === undefined) return;
    await withOwnTypes(this.#redis, METRIC_KEYS, (redis) =>
      redis.addTotals(
        keys.metricTotals,
        keys.metricFlushed,
        flush.id,
        FLUSHED_REMEMBERED_MS,
        ...[...flush.increments].flat(),
      ),
    );
    if (this.#pending === flush) this.#pending = undefined;
  }

  async #sendGauges(): Promise<void> {
    const gauges = this.#pendingGauges;
    if (gauges === undefined) return;
    await withOwnTypes(this.#redis, METRIC_KEYS, (redis) =>
      redis.setGauges(keys.metricGauges, keys.metricGaugesOrder, gauges.order, ...[...gauges.values].flat()),
    );
    if (this.#pendingGauges === gauges) this.#pendingGauges = undefined;
  }
}
