/** What a warm-up leaves for others: the keys that new containers fill their memory with, and those that it had no time for. */
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { withOwnTypes } from '../redis/own-types.ts';

/** Keys by dataset, the most read first. */
export type HotKeys = ReadonlyMap<string, readonly string[]>;

/** A text that is longer was not written by us. */
const TEXT_LENGTH_MAX = 8_000_000;

type KeptKeys = {
  /** Those that are registered: what is kept of others is forgotten. */
  readonly datasets: readonly string[];
  readonly manifest: HotKeys;
  readonly unfinished: HotKeys;
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
  const encodeWith = (old: string | null | undefined, kept: HotKeys) => {
    const all = new Map([...decode(old), ...kept]);
    return encode(new Map([...all].filter(([dataset]) => datasets.includes(dataset))));
  };
  await withOwnTypes(redis, { [keys.warmupHotKeysOrder]: 'string' }, (client) =>
    client.setHotKeys(
      keys.warmupManifest,
      keys.warmupUnfinished,
      keys.warmupHotKeysOrder,
      fence,
      encodeWith(oldManifest, manifest),
      encodeWith(oldUnfinished, unfinished),
    ),
  );
}

/** Throws `RedisUnavailableError`. */
export async function readManifest(redis: GuardedRedis): Promise<HotKeys> {
  return decode(
    await withOwnTypes(redis, { [keys.warmupManifest]: 'string' }, (client) =>
      client.get(keys.warmupManifest),
    ),
  );
}

/** What the last warm-up had planned and not begun. Throws `RedisUnavailableError`. */
export async function readUnfinished(redis: GuardedRedis, dataset: string): Promise<readonly string[]> {
  const [text] = await redis.readTexts([keys.warmupUnfinished]);
  return decode(text).get(dataset) ?? [];
}

function encode(hotKeys: HotKeys): string {
  const some = [...hotKeys].filter(([, keys]) => keys.length > 0);
  return some.length === 0 ? '' : JSON.stringify(Object.fromEntries(some));
}

/** What is not of this form costs its warmth and nothing else. */
function decode(text: string | null | undefined): HotKeys {
  const hotKeys = new Map<string, readonly string[]>();
  if (text == null || text.length > TEXT_LENGTH_MAX) return hotKeys;
  try {
    for (const [dataset, keys] of Object.entries(JSON.parse(text) ?? {})) {
      if (isTexts(keys)) hotKeys.set(dataset, keys);
    }
  } catch (error) {
    log.warn('The hot keys of the last warm-up cannot be read.', { error });
  }
  return hotKeys;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
