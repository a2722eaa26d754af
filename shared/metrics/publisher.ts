/**
 * Pushes the fleet's totals to the Pushgateway, as one group, one publisher at a time.
 *
 * What must not happen: a counter in the Pushgateway goes backwards. It would if a publisher A read the totals, B read
 * later totals and pushed them, and A pushed last. So A holds a lease from before it reads until it has pushed, and its
 * push is cut off before the lease can end. A push that failed may still be on its way: then the lease is left to run
 * out. What remains is a Pushgateway that takes a push later than that: the next push mends it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { PushRefusedError } from '../errors.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { releaseLease, takeLease } from '../redis/lease.ts';
import { readMemoryUsageBytes } from '../redis/memory-usage.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { type Definition, type MetricName, parseSeries, type Series, seriesOf } from './definitions.ts';
import type { FleetTotals } from './fleet-totals.ts';

export const publisherKeys = {
  /** Held by the container that pushes. */
  metricPublisher: 'prewarm:{metrics}:publisher',
  /** Why the Pushgateway refused the last push, if it did. */
  metricPushFailure: 'prewarm:{metrics}:push-failure',
  /** There as long as the last push is recent enough. */
  metricPublished: 'prewarm:{metrics}:published',
} as const;

const LEASE_MS = 5_000;
/** Prometheus scrapes every 15 s; more pushes than that show nothing. */
const PUBLISH_EVERY_MS = 14_000;
const LOOK_FOR_LEASE_EVERY_MS = 50;
const JOB = 'prewarm';
/** How much of a Pushgateway's answer is kept, in characters, and how many conflicting metrics are named. */
const REASON_MAX = 500;
const CONFLICTS_MAX = 10;
/** Somebody else may publish by now, or nobody does. */
const FAILURE_TOLD_SECONDS = 3_600;

/** Stages that share one have a group each: what one pushes would replace what the other did. */
export type Pushgateway = { readonly url: string; readonly stage: string };

export class Publisher {
  readonly #redis: GuardedRedis;
  readonly #totals: FleetTotals;
  readonly #pushgatewayUrl: string;
  readonly #pushUrl: string;

  constructor(redis: GuardedRedis, totals: FleetTotals, { url, stage }: Pushgateway) {
    this.#redis = redis;
    this.#totals = totals;
    this.#pushgatewayUrl = url;
    this.#pushUrl = new URL(`/metrics/job/${JOB}/stage/${encodeURIComponent(stage)}`, url).href;
  }

  /** Publishes if nobody in the fleet did in the last 14 s and nobody is about to. */
  async publishIfDue(timeoutMs: number): Promise<void> {
    const isDue = await takeLease(this.#redis, publisherKeys.metricPublished, '1', PUBLISH_EVERY_MS);
    if (isDue) await this.#publishWithLease(timeoutMs);
  }

  /** Publishes now, after a push that is under way; for what must be seen soon. */
  async publish(timeoutMs: number): Promise<void> {
    const giveUpMonotonicMs = performance.now() + timeoutMs;
    while (performance.now() < giveUpMonotonicMs) {
      if (await this.#publishWithLease(giveUpMonotonicMs - performance.now())) return;
      await sleep(LOOK_FOR_LEASE_EVERY_MS);
    }
  }

  /** Answers false, at once, while somebody else publishes. */
  async #publishWithLease(timeoutMs: number): Promise<boolean> {
    const token = crypto.randomUUID();
    // From before the lease is taken, so that the push ends before the lease does.
    const signal = AbortSignal.timeout(Math.ceil(Math.min(timeoutMs, LEASE_MS - 1_000)));
    if (!(await takeLease(this.#redis, publisherKeys.metricPublisher, token, LEASE_MS))) return false;
    const release = () => releaseLease(this.#redis, publisherKeys.metricPublisher, token);
    const page = await this.#prepare(signal).catch(async (error) => {
      await release(); // nothing is on its way
      throw error;
    });
    await this.#push(page, signal).catch(async (error) => {
      if (error instanceof PushRefusedError) await rememberFailure(this.#redis, error);
      throw error;
    });
    await this.#redis.run((redis) => redis.del(publisherKeys.metricPushFailure));
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
  async #push(page: Page, signal: AbortSignal): Promise<void> {
    const answer = await fetch(this.#pushUrl, {
      method: 'POST',
      body: page.text,
      headers: { 'content-type': page.contentType },
      signal,
    });
    if (answer.ok) return;
    const reason = (await answer.text()).trim().slice(0, REASON_MAX);
    const conflicts = await this.#findConflicts(page, signal);
    throw new PushRefusedError(answer.status, reason, conflicts);
  }

  /** A metric of ours that somebody else pushes as another type makes the Pushgateway refuse every push of ours. */
  async #findConflicts({ types }: Page, signal: AbortSignal): Promise<string[]> {
    try {
      const answer = await fetch(new URL('/api/v1/metrics', this.#pushgatewayUrl), { signal });
      return conflictsIn((await answer.json()) as Groups, types);
    } catch {
      return []; // what it answered to the push is told all the same
    }
  }
}

/** `at` is ISO 8601. */
export type PushFailure = { readonly at: string; readonly message: string };

async function rememberFailure(redis: GuardedRedis, error: PushRefusedError): Promise<void> {
  const failure: PushFailure = { at: new Date().toISOString(), message: error.message };
  await withOwnTypes(redis, { [publisherKeys.metricPushFailure]: 'hash' }, (client) =>
    Promise.all([
      client.hset(publisherKeys.metricPushFailure, failure),
      client.expire(publisherKeys.metricPushFailure, FAILURE_TOLD_SECONDS),
    ]),
  );
}

/** When and why the Pushgateway last refused a push; null when it has taken one since. */
export async function lastPushFailure(redis: GuardedRedis): Promise<PushFailure | null> {
  const fields = await withOwnTypes(redis, { [publisherKeys.metricPushFailure]: 'hash' }, (client) =>
    client.hgetall(publisherKeys.metricPushFailure),
  );
  const { at, message } = fields;
  return at === undefined || message === undefined ? null : { at, message };
}

type Page = {
  readonly contentType: string;
  readonly text: string;
  /** The type of each metric, by its name. */
  readonly types: ReadonlyMap<string, Definition['type']>;
};

/** All groups of a Pushgateway, each with its labels and, by name, its metrics. */
type Groups = { readonly data?: readonly Readonly<Record<string, unknown>>[] };

/** `cache_hits_total is a gauge in {job="other"}`, for each that is another type than ours. */
function conflictsIn({ data = [] }: Groups, types: Page['types']): string[] {
  const conflicts = data.flatMap((group) => {
    const labels = Object.entries((group['labels'] ?? {}) as Record<string, string>);
    const where = `{${labels.map(([name, value]) => `${name}="${value}"`).join(',')}}`;
    return [...types].flatMap(([name, type]) => {
      const theirs = (group[name] as { type?: string } | undefined)?.type?.toLowerCase();
      return theirs === undefined || theirs === type
        ? []
        : [`${name} is a ${theirs} in ${where}, not a ${type}`];
    });
  });
  return conflicts.slice(0, CONFLICTS_MAX);
}

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
  const types = new Map(
    [...metrics.keys()].map(
      (name) => [name, parseSeries(seriesOf(name, []))?.definition.type ?? 'gauge'] as const,
    ),
  );
  return { contentType: registry.contentType, text: await registry.metrics(), types };
}
