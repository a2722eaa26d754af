/** The totals of all containers, in Redis: a Pushgateway overwrites what it is sent, so the adding is done here. */
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import type { Series } from './definitions.ts';
import type { Flush, Recorder } from './recorder.ts';

/** What was last measured somewhere; `order` says which of two measurements is the later one. */
export type Gauges = { readonly order: number; readonly values: ReadonlyMap<Series, number> };

/** For so long a flush that is sent again is known to be the same. */
const FLUSHED_TTL_MS = 600_000;

export class FleetTotals {
  readonly #redis: GuardedRedis;
  readonly #recorder: Recorder;
  /** Sent, but nobody knows whether it arrived. */
  #pending: Flush | undefined;

  constructor(redis: GuardedRedis, recorder: Recorder) {
    this.#redis = redis;
    this.#recorder = recorder;
  }

  /** Nothing was counted since the last flush that arrived. */
  get isUpToDate(): boolean {
    return this.#pending === undefined && this.#recorder.isEmpty;
  }

  /** Adds what this container counted. Throws `RedisUnavailableError`; nothing is lost or counted twice then. */
  async add(): Promise<void> {
    await this.#sendPending();
    this.#pending = this.#recorder.takeIncrements();
    await this.#sendPending();
  }

  /** Sets gauges, unless some of a higher `order` were set before. Throws `RedisUnavailableError`. */
  async setGauges({ order, values }: Gauges): Promise<void> {
    await this.#redis.run((redis) =>
      redis.setGauges(keys.metricGauges, keys.metricGaugesOrder, order, ...[...values].flat()),
    );
  }

  /** All totals and gauges of the fleet, by series. */
  async read(): Promise<Record<string, string>> {
    const [totals, gauges] = await this.#redis.pipeline((commands) => {
      commands.hgetall(keys.metricTotals);
      commands.hgetall(keys.metricGauges);
    });
    return { ...(totals as Record<string, string>), ...(gauges as Record<string, string>) };
  }

  async #sendPending(): Promise<void> {
    const flush = this.#pending;
    if (flush === undefined) return;
    await this.#redis.run((redis) =>
      redis.addTotals(
        keys.metricTotals,
        keys.metricFlushed(flush.id),
        FLUSHED_TTL_MS,
        ...[...flush.increments].flat(),
      ),
    );
    this.#pending = undefined;
  }
}
