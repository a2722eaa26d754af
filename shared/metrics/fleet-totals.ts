/** The totals of all containers, in Redis: a Pushgateway overwrites what it is sent, so the adding is done here. */
import type { Result } from 'ioredis';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { NOW, STORED_ORDER } from '../redis/lua.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { defineScript } from '../redis/script.ts';
import type { Series } from './definitions.ts';
import type { Flush, Recorder } from './recorder.ts';

export const totalsKeys = {
  metricTotals: 'prewarm:{metrics}:totals',
  metricGauges: 'prewarm:{metrics}:gauges',
  /** The fencing number of the warm-up that set the gauges last. */
  metricGaugesOrder: 'prewarm:{metrics}:gauges-order',
  /** Ids of the flushes that were added lately, scored by when, by Redis' clock in ms. */
  metricFlushed: 'prewarm:{metrics}:flushed',
} as const;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /**
     * Adds increments to a hash of totals, once for each `flushId`, however often it is sent within `rememberedMs`; answers
     * 1 or 0.
     */
    addTotals(
      totalsKey: string,
      flushedKey: string,
      flushId: string,
      rememberedMs: number,
      ...fieldsAndIncrements: (string | number)[]
    ): Result<number, Context>;
    /**
     * Sets fields of a hash, and deletes those of the same metrics that are not given, unless that was done with a higher
     * `order` before; answers 1 or 0.
     */
    setGauges(
      gaugesKey: string,
      orderKey: string,
      order: number,
      ...fieldsAndValues: (string | number)[]
    ): Result<number, Context>;
  }
}

/**
 * A flush that timed out may have been executed: its id makes the repetition harmless, so a total is never counted twice.
 * A hash that is none fails before the id is taken, so that the repetition counts.
 */
const ADD_TOTALS = `${NOW}
redis.call('HLEN', KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', nowMs - ARGV[2])
if redis.call('ZADD', KEYS[2], 'NX', nowMs, ARGV[1]) == 0 then return 0 end
for i = 3, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1`;

/**
 * Ordered by fencing number: what a run that lost its lock reports late does not replace what its successor reported.
 * A field is \`metric|labels\`: those of the same metrics that are not given are of an older run, and go.
 */
const SET_GAUGES = `${STORED_ORDER}
if storedOrder(KEYS[2]) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
local given, metrics = {}, {}
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  given[ARGV[i]] = true
  metrics[string.match(ARGV[i], '^[^|]*')] = true
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if metrics[string.match(field, '^[^|]*')] and not given[field] then redis.call('HDEL', KEYS[1], field) end
end
return 1`;

defineScript('addTotals', { numberOfKeys: 2, lua: ADD_TOTALS });
defineScript('setGauges', { numberOfKeys: 2, lua: SET_GAUGES });

/**
 * What was last measured somewhere; `order` says which of two measurements is the later one. A metric is measured as a
 * whole: series of it that are not among `values` are forgotten.
 */
export type Gauges = { readonly order: number; readonly values: ReadonlyMap<Series, number> };

/** For so long a flush that is sent again is known to be the same. */
const FLUSHED_REMEMBERED_MS = 600_000;

const METRIC_KEYS = {
  [totalsKeys.metricTotals]: 'hash',
  [totalsKeys.metricFlushed]: 'zset',
  [totalsKeys.metricGauges]: 'hash',
  [totalsKeys.metricGaugesOrder]: 'string',
} as const;

export class FleetTotals {
  readonly #redis: GuardedRedis;
  readonly #recorder: Recorder;
  /** A flush that was sent, and is not known to have arrived. */
  #pending: Flush | undefined;
  /** Gauges that were sent, and are not known to have arrived. */
  #pendingGauges: Gauges | undefined;

  constructor(redis: GuardedRedis, recorder: Recorder) {
    this.#redis = redis;
    this.#recorder = recorder;
  }

  /** Whether nothing was counted since the last flush that arrived. */
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
      Promise.all([redis.hgetall(totalsKeys.metricTotals), redis.hgetall(totalsKeys.metricGauges)]),
    );
    return { ...totals, ...gauges };
  }

  async #sendPending(): Promise<void> {
    const flush = this.#pending;
    if (flush === undefined) return;
    await withOwnTypes(this.#redis, METRIC_KEYS, (redis) =>
      redis.addTotals(
        totalsKeys.metricTotals,
        totalsKeys.metricFlushed,
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
      redis.setGauges(
        totalsKeys.metricGauges,
        totalsKeys.metricGaugesOrder,
        gauges.order,
        ...[...gauges.values].flat(),
      ),
    );
    if (this.#pendingGauges === gauges) this.#pendingGauges = undefined;
  }
}
