/** The metrics: their names (the requirement's, exactly), kinds and labels. Label values come from small fixed sets, never an id or a key. */

export type Definition = {
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
};

const define = <const T extends Record<string, Definition>>(definitions: T): T => definitions;

const METRICS = define({
  cache_hits_total: {
    type: 'counter',
    help: 'Reads answered from a cache: l1 is memory, hydrated is memory filled before the first request, l2 is Redis, stale is an expired value.',
    labels: ['dataset', 'layer'],
  },
  cache_misses_total: {
    type: 'counter',
    help: 'Reads answered from Postgres.',
    labels: ['dataset'],
  },
  cache_corrupt_entries_total: {
    type: 'counter',
    help: 'Values found in Redis that were no entries and were replaced.',
    labels: ['dataset'],
  },
  cache_warmup_runs_total: {
    type: 'counter',
    help: 'Warm-ups that ended, by what started them and how they ended.',
    labels: ['trigger', 'status'],
  },
  cache_warmup_duration_seconds: {
    type: 'gauge',
    help: 'How long the last warm-up that held the lock took.',
    labels: [],
  },
  cache_warmup_status: {
    type: 'gauge',
    help: 'How the last warm-up that held the lock ended: 1 success, 0.5 partial, 0 failed.',
    labels: [],
  },
  cache_warmup_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When a warm-up last succeeded, in seconds since 1970.',
    labels: [],
  },
  cache_keys_warmed: {
    type: 'gauge',
    help: 'Keys that the last warm-up put into the cache, by step.',
    labels: ['step'],
  },
  redis_memory_usage_bytes: {
    type: 'gauge',
    help: 'Memory that Redis uses, as it says itself (used_memory).',
    labels: [],
  },
});

export type MetricName = keyof typeof METRICS;

/** A metric with its label values, as the one text that names it in maps and in Redis. */
export type Series = `${MetricName}|${string}`;

/** `labels` in the order of the definition. */
export function seriesOf(name: MetricName, labels: readonly string[]): Series {
  return `${name}|${labels.join('|')}`;
}

/** The metric and labels that a text names, or undefined when this version knows no such metric. */
export function parseSeries(
  series: string,
): { name: MetricName; definition: Definition; labels: Record<string, string> } | undefined {
  const [name, ...values] = series.split('|');
  const definition: Definition | undefined = METRICS[name as MetricName];
  if (definition === undefined) return undefined;
  const labels = Object.fromEntries(definition.labels.map((label, index) => [label, values[index] ?? '']));
  return { name: name as MetricName, definition, labels };
}
