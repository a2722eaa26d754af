/** Every name under which Prewarm keeps something in Redis. A part in braces puts names that are used together into one slot. */
import { createHash } from 'node:crypto';

const NOT_PLAIN = /[%{}]/;

/** Text that a caller chose, without braces: else it could choose the slot as well. */
function plain(text: string): string {
  return NOT_PLAIN.test(text) ? text.replace(/[%{}]/g, encodeURIComponent) : text;
}

export const keys = {
  /** Holds the traceId of the warm-up that runs, for 30 s at a time. The name is the requirement's own. */
  warmupLock: 'cache:warmup:lock',
  /** The fencing number of the warm-up that took the lock last: when it did, in µs, and higher than the one before. */
  warmupFence: 'prewarm:{warmup}:fence',
  /** The last reports, as JSON, scored by fencing number. */
  warmupReports: 'prewarm:{warmup}:reports',
  /** What a new container fills its memory with: the keys that were warmed last, the most read first. */
  warmupManifest: 'prewarm:{warmup}:manifest',
  /** When that was begun which the last warm-up had no time to end: what was warmed since then is warm. */
  warmupUnfinished: 'prewarm:{warmup}:unfinished',
  /** The fencing number of the warm-up that wrote these two. */
  warmupHotKeysOrder: 'prewarm:{warmup}:hot-keys-order',
  /** What people read of a dataset, scored by how much and how lately. */
  popularity: (dataset: string) => `prewarm:{${dataset}}:popularity`,
  /** An entry of the cache. The generation in it is what `clear` changes. */
  entry: (dataset: string, schemaVersion: number | string, generation: string, id: string) =>
    `prewarm:entry:${dataset}:${schemaVersion}:${generation}:${plain(id)}`,
  /** Who loads an entry at the moment: in the entry's slot, so that storing and releasing arrive in their order. */
  lease: (entryKey: string) => `prewarm:lease:{${entryKey}}`,
  /** Who loads it beside a leader that should have ended long ago. */
  leaseBeside: (entryKey: string) => `prewarm:lease:{${entryKey}}:beside`,
  generation: (dataset: string) => `prewarm:{${dataset}}:generation`,
  /** Ids that were invalidated lately, scored by Redis' clock in ms. */
  invalidated: (dataset: string) => `prewarm:{${dataset}}:invalidated`,
  /** What readers have stored of a dataset lately, in bytes, and which of its two bitmaps is the current one. */
  admission: (dataset: string) => `prewarm:{${dataset}}:admission`,
  /** Which keys were asked for lately, as bits: two of them, of which the older one is emptied in turn. */
  seen: (dataset: string, turn: 0 | 1) => `prewarm:{${dataset}}:seen:${turn}`,
  /** The schema versions of which there may be entries, scored by until when, by Redis' clock in ms. */
  schemaVersions: (dataset: string) => `prewarm:{${dataset}}:schema-versions`,
  metricTotals: 'prewarm:{metrics}:totals',
  metricGauges: 'prewarm:{metrics}:gauges',
  /** The fencing number of the warm-up that set the gauges last. */
  metricGaugesOrder: 'prewarm:{metrics}:gauges-order',
  /** Ids of the flushes that were added lately, scored by when, by Redis' clock in ms. */
  metricFlushed: 'prewarm:{metrics}:flushed',
  /** Who pushes at the moment. */
  metricPublisher: 'prewarm:{metrics}:publisher',
  /** Why the Pushgateway refused the last push, if it did. */
  metricPushFailure: 'prewarm:{metrics}:push-failure',
  /** There as long as the last push is recent enough. */
  metricPublished: 'prewarm:{metrics}:published',
  /** By subject, how often an admin action was called in the window that is open, and when that ends. */
  limit: (action: string) => `prewarm:limit:${action}`,
  /** Whom a limit counts: issuers give subjects of any length, in any characters. */
  limited: (subject: string) => createHash('sha256').update(subject).digest('base64url').slice(0, 22),
} as const;
