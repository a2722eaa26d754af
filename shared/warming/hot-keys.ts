/** What a warm-up leaves for others: the keys that new containers fill their memory with, and what it had no time to end. */
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { withOwnTypes } from '../redis/own-types.ts';

/** Keys by dataset, the most read first. */
export type HotKeys = ReadonlyMap<string, readonly string[]>;

/** By dataset, when that was begun which had to be left unfinished, in ms; undefined where all was done. */
type Unfinished = ReadonlyMap<string, number | undefined>;

/** A text that is longer was not written by us. */
const TEXT_LENGTH_MAX = 8_000_000;

type KeptKeys = {
  /** Those that are registered: what is kept of others is forgotten. */
  readonly datasets: readonly string[];
  readonly manifest: HotKeys;
  readonly unfinished: Unfinished;
};

/**
 * Replaces what earlier warm-ups left of the same datasets, and nothing of a later one's. Throws `RedisUnavailableError`.
 */
export async function keepHotKeys(
  redis: GuardedRedis,
  fence: number,
  { datasets, manifest, unfinished }: KeptKeys,
): Promise<void> {
  const [oldManifest, oldUnfinished] = await redis.readTexts([keys.warmupManifest, keys.warmupUnfinished]);
  const encodeWith = <T>(old: ReadonlyMap<string, T>, kept: ReadonlyMap<string, T>) =>
    encode([...new Map([...old, ...kept])].filter(([dataset]) => datasets.includes(dataset)));
  await withOwnTypes(redis, { [keys.warmupHotKeysOrder]: 'string' }, (client) =>
    client.setHotKeys(
      keys.warmupManifest,
      keys.warmupUnfinished,
      keys.warmupHotKeysOrder,
      fence,
      encodeWith(decode(oldManifest, isTexts), manifest),
      encodeWith<number | undefined>(decode(oldUnfinished, isTime), unfinished),
    ),
  );
}

/** Throws `RedisUnavailableError`. */
export async function readManifest(redis: GuardedRedis): Promise<HotKeys> {
  return decode(
    await withOwnTypes(redis, { [keys.warmupManifest]: 'string' }, (client) =>
      client.get(keys.warmupManifest),
    ),
    isTexts,
  );
}

/** When that was begun which the last warm-up left unfinished, if it did. Throws `RedisUnavailableError`. */
export async function readUnfinished(redis: GuardedRedis, dataset: string): Promise<number | undefined> {
  const [text] = await redis.readTexts([keys.warmupUnfinished]);
  return decode(text, isTime).get(dataset);
}

function encode(parts: readonly (readonly [string, unknown])[]): string {
  const some = parts.filter(([, part]) => part !== undefined && !(Array.isArray(part) && part.length === 0));
  return some.length === 0 ? '' : JSON.stringify(Object.fromEntries(some));
}

/** What is not of this form costs its warmth and nothing else. */
function decode<T>(text: string | null | undefined, isPart: (value: unknown) => value is T): Map<string, T> {
  const parts = new Map<string, T>();
  if (text == null || text.length > TEXT_LENGTH_MAX) return parts;
  try {
    for (const [dataset, part] of Object.entries(JSON.parse(text) ?? {})) {
      if (isPart(part)) parts.set(dataset, part);
    }
  } catch (error) {
    log.warn('What the last warm-up left cannot be read.', { error });
  }
  return parts;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isTime(value: unknown): value is number {
  return typeof value === 'number';
}
