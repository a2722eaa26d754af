/** What a warm-up leaves for others: the keys that new containers fill their memory with, and what it had no time to end. */
import type { Result } from 'ioredis';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { STORED_ORDER } from '../redis/lua.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { defineScript } from '../redis/script.ts';

export const hotKeysKeys = {
  /** What a new container fills its memory with: the keys that were warmed last, the most read first. */
  warmupManifest: 'prewarm:{warmup}:manifest',
  /** When the warm-up was begun that came to no end, by dataset: what was warmed since then is warm. */
  warmupUnfinished: 'prewarm:{warmup}:unfinished',
  /** The fencing number of the warm-up that wrote these two. */
  warmupHotKeysOrder: 'prewarm:{warmup}:hot-keys-order',
} as const;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /** Sets two texts of one warm-up unless a later one (by `order`) has set them; '' deletes. Answers 1 or 0. */
    setHotKeys(
      manifestKey: string,
      unfinishedKey: string,
      orderKey: string,
      order: number,
      manifest: string,
      unfinished: string,
    ): Result<number, Context>;
  }
}

/** The keys have no time to live: a full Redis evicts what has one, and these are read by new containers only. */
const SET_HOT_KEYS = `${STORED_ORDER}
if storedOrder(KEYS[3]) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[3], ARGV[1])
for i = 1, 2 do
  if ARGV[i + 1] == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], ARGV[i + 1]) end
end
return 1`;

defineScript('setHotKeys', { numberOfKeys: 3, lua: SET_HOT_KEYS });

/** Keys by dataset, the most read first. */
export type HotKeys = ReadonlyMap<string, readonly string[]>;

/** When the unfinished warm-up of a dataset was begun, in ms; undefined where all was done. */
type Unfinished = ReadonlyMap<string, number | undefined>;

/** A text that is longer was not written by us. */
const TEXT_LENGTH_MAX = 8_000_000;

type KeptKeys = {
  /** The registered datasets: what is kept of others is forgotten. */
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
  const [oldManifest, oldUnfinished] = await redis.readTexts([
    hotKeysKeys.warmupManifest,
    hotKeysKeys.warmupUnfinished,
  ]);
  const encodeWith = <T>(old: ReadonlyMap<string, T>, kept: ReadonlyMap<string, T>) =>
    encode([...new Map([...old, ...kept])].filter(([dataset]) => datasets.includes(dataset)));
  await withOwnTypes(redis, { [hotKeysKeys.warmupHotKeysOrder]: 'string' }, (client) =>
    client.setHotKeys(
      hotKeysKeys.warmupManifest,
      hotKeysKeys.warmupUnfinished,
      hotKeysKeys.warmupHotKeysOrder,
      fence,
      encodeWith(decode(oldManifest, isTexts), manifest),
      encodeWith<number | undefined>(decode(oldUnfinished, isTime), unfinished),
    ),
  );
}

/** Throws `RedisUnavailableError`. */
export async function readManifest(redis: GuardedRedis): Promise<HotKeys> {
  return decode(
    await withOwnTypes(redis, { [hotKeysKeys.warmupManifest]: 'string' }, (client) =>
      client.get(hotKeysKeys.warmupManifest),
    ),
    isTexts,
  );
}

/** When the warm-up of `dataset` was begun that is not finished yet, if there is one. Throws `RedisUnavailableError`. */
export async function readUnfinished(redis: GuardedRedis, dataset: string): Promise<number | undefined> {
  const [text] = await redis.readTexts([hotKeysKeys.warmupUnfinished]);
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
    log.warn('warmup.manifest_unreadable', 'What the last warm-up left cannot be read.', { error });
  }
  return parts;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isTime(value: unknown): value is number {
  return typeof value === 'number';
}
