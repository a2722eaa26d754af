/**
 * Pushes the fleet's totals to the Pushgateway, as one group, one publisher at a time.
 *
 * What must not happen: a counter in the Pushgateway goes backwards. It would if a publisher A read the totals, B read
 * later totals and pushed them, and A pushed last. So A holds a lease from before it reads until it has pushed, and its
 * push is cut off before the lease can end. A push that failed may still be on its way: then the lease is left to run
 * out. What remains is a Pushgateway that takes a push later than that: the next push mends it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { readMemoryUsageBytes } from '../redis/memory-usage.ts';
import { type MetricName, parseSeries, type Series, seriesOf } from './definitions.ts';
import type { FleetTotals } from './fleet-totals.ts';

const LEASE_MS = 5_000;
/** Prometheus scrapes every 15 s; more pushes than that show nothing. */
const PUBLISH_EVERY_MS = 14_000;
const LOOK_FOR_LEASE_EVERY_MS = 50;
const JOB = 'prewarm';

export class Publisher {
  readonly #redis: GuardedRedis;
  readonly #totals: FleetTotals;
  readonly #pushUrl: string;

  constructor(redis: GuardedRedis, totals: FleetTotals, pushgatewayUrl: string) {
    this.#redis = redis;
    this.#totals = totals;
    this.#pushUrl = new URL(`/metrics/job/${JOB}`, pushgatewayUrl).href;
  }

  /** Publishes if nobody in the fleet did in the last 14 s and nobody is about to. */
  async publishIfDue(timeoutMs: number): Promise<void> {
    const due = await this.#redis.run((redis) =>
      redis.set(keys.metricPublished, '1', 'PX', PUBLISH_EVERY_MS, 'NX'),
    );
    if (due === 'OK') await this.#publishWithLease(timeoutMs);
  }

  /** Publishes now, after whoever is doing it; for what must be seen soon. */
  async publish(timeoutMs: number): Promise<void> {
    const giveUpAtMs = performance.now() + timeoutMs;
    while (performance.now() < giveUpAtMs) {
      if (await this.#publishWithLease(giveUpAtMs - performance.now())) return;
      await sleep(LOOK_FOR_LEASE_EVERY_MS);
    }
  }

  /** Answers false, at once, while somebody else publishes. */
  async #publishWithLease(timeoutMs: number): Promise<boolean> {
    const token = crypto.randomUUID();
    // From before the lease is taken, so that the push ends before the lease does.
    const signal = AbortSignal.timeout(Math.ceil(Math.min(timeoutMs, LEASE_MS - 1_000)));
    const won = await this.#redis.run((redis) =>
      redis.set(keys.metricPublisher, token, 'PX', LEASE_MS, 'NX'),
    );
    if (won !== 'OK') return false;
    const release = () => this.#redis.run((redis) => redis.releaseIfOwner(keys.metricPublisher, token));
    const page = await this.#prepare(signal).catch(async (error) => {
      await release(); // nothing is on its way
      throw error;
    });
    await this.#push(page, signal);
    await release();
    return true;
  }

  async #prepare(signal: AbortSignal): Promise<Page> {
    const page = await render(await this.#collect());
    signal.throwIfAborted();
    return page;
  }

  async #collect(): Promise<Record<string, string>> {
    const series = await this.#totals.read();
    const memoryBytes = await readMemoryUsageBytes(this.#redis);
    if (memoryBytes === undefined) return series;
    return { ...series, [seriesOf('redis_memory_usage_bytes', [])]: String(memoryBytes) };
  }

  /** POST replaces what has the same name and leaves the rest; the client library's own push has no overall deadline. */
  async #push({ contentType, text }: Page, signal: AbortSignal): Promise<void> {
    const answer = await fetch(this.#pushUrl, {
      method: 'POST',
      body: text,
      headers: { 'content-type': contentType },
      signal,
    });
    if (!answer.ok) throw new Error(`The Pushgateway answered ${answer.status}: ${await answer.text()}`);
  }
}

type Page = { readonly contentType: string; readonly text: string };

/** In the Prometheus text format. The library is loaded at the first push, not in every container's start-up. */
async function render(series: Record<string, string>): Promise<Page> {
  // By its default export, the only one that a CommonJS package has as a chunk of a bundle.
  const { Counter, Gauge, Registry } = (await import('prom-client')).default;
  const registry = new Registry();
  const metrics = new Map<MetricName, InstanceType<typeof Counter> | InstanceType<typeof Gauge>>();
  for (const [key, value] of Object.entries(series) as [Series, string][]) {
    const parsed = parseSeries(key);
    if (parsed === undefined) continue;
    const { name, definition, labels } = parsed;
    const Kind = definition.type === 'counter' ? Counter : Gauge;
    const metric =
      metrics.get(name) ??
      new Kind({ name, help: definition.help, labelNames: definition.labels, registers: [registry] });
    metrics.set(name, metric);
    metric.inc(labels, Number(value));
  }
  return { contentType: registry.contentType, text: await registry.metrics() };
}
