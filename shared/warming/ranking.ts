/** A dataset's ranking as a warm-up reads it: the most read first, part by part; and how it survives a Redis that loses everything. */
import { log } from '../logger.ts';
import type { Database } from '../postgres/database.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import {
  addWeighed,
  HALF_LIFE_MS,
  inRanking,
  type Popular,
  popularityKey,
  REMEMBERED_MS,
} from './popularity.ts';

/** What is left is not worth a batch, when all of it together is a smaller part of what is read. */
const NEGLIGIBLE_SHARE = 0.001;
/** Redis answers nobody else while it reads a range: under a millisecond for so many. */
const READ_TOGETHER_MAX = 1_000;

/** The highest score, under a key that no dataset has: as long as it is there, nothing of the ranking was lost. */
const WHOLE = '';
/** The score of a mark while what it stands for is put back: higher than that of any key, and finite. */
const RESTORING = '1e300';

/**
 * The keys that were read most. When Redis has lost what it knew, what the last warm-up had saved in `database` is put back:
 * the first part now, the others as they are asked for. A run that is cut in between leaves marks of what is back, in the
 * ranking itself, so that they are lost with it. Throws `RedisUnavailableError` and `DatabaseUnavailableError`.
 */
export async function mostRead(redis: GuardedRedis, database: Database, dataset: string): Promise<Ranking> {
  const whole = await inRanking(redis, dataset, (client, key) => client.zscore(key, WHOLE));
  const isWhole = whole === 'inf';
  const lost = isWhole ? new Map<number, number>() : await findLostParts(redis, database, dataset);
  // What is lost again while it is put back takes the mark that it was begun with along, and XX marks nothing then.
  const begin = (member: string) =>
    inRanking(redis, dataset, (client, key) => client.zadd(key, RESTORING, member));
  const end = (member: string) =>
    inRanking(redis, dataset, (client, key) => client.zadd(key, 'XX', '+inf', member));
  const restorePart = async (part: number) => {
    if (!lost.has(part)) return;
    await begin(markOf(part));
    await restore(redis, database, dataset, part);
    await end(markOf(part));
    lost.delete(part);
    if (lost.size === 0) await end(WHOLE);
  };
  if (!isWhole) await begin(WHOLE);
  if (!isWhole && lost.size === 0) await end(WHOLE);
  await restorePart(0);
  const known = await redis.run((client) => client.zcard(popularityKey(dataset)));
  const lostKeys = [...lost.values()].reduce((sum, each) => sum + each, 0);
  return new Ranking(redis, dataset, known + lostKeys, restorePart);
}

/** The saved parts that are not in Redis, with how many keys each has. */
async function findLostParts(
  redis: GuardedRedis,
  database: Database,
  dataset: string,
): Promise<Map<number, number>> {
  const saved = await database.query<{ part: number; keys: number }>(SAVED_PARTS, [dataset]);
  if (saved.length === 0) return new Map();
  const marks = await inRanking(redis, dataset, (client, key) =>
    client.zmscore(key, ...saved.map(({ part }) => markOf(part))),
  );
  return new Map(saved.filter((_, place) => marks[place] !== 'inf').map((each) => [each.part, each.keys]));
}

/** A dataset's keys, the most read first, piece by piece. A key that is read meanwhile only moves up, so none comes twice. */
export class Ranking {
  readonly #redis: GuardedRedis;
  readonly #dataset: string;
  /** Puts back what is saved of a part, where Redis has lost it. */
  readonly #restorePart: (part: number) => Promise<void>;
  /** How many there are, with the marks, and with what is still to be put back. */
  readonly #known: number;
  /** How many pieces were taken. */
  #parts = 0;
  #restoring: Promise<void> | undefined;
  readonly #oldestMs = Date.now() - REMEMBERED_MS;
  /** Where the next page begins: at this score, behind so many of the same score that came already. */
  #from = { score: `(${RESTORING}`, ties: 0 };
  #taken = 0;
  #firstScore: number | undefined;
  /** The weight of all keys that came. */
  #weight = 0;

  constructor(
    redis: GuardedRedis,
    dataset: string,
    known: number,
    restorePart: (part: number) => Promise<void>,
  ) {
    this.#redis = redis;
    this.#dataset = dataset;
    this.#known = known;
    this.#restorePart = restorePart;
  }

  get known(): number {
    return this.#known;
  }

  /**
   * The next keys, at most `limit`; fewer where there are no more, and none where all that is left is next to nothing of what is read.
   * Throws `RedisUnavailableError`, `DatabaseUnavailableError`, or the reason of `signal`, and begins there again then.
   */
  async next(limit: number, signal?: AbortSignal): Promise<Popular[]> {
    await this.#restoreNext();
    const popular: Popular[] = [];
    let from = this.#from;
    while (popular.length < limit) {
      const count = Math.min(READ_TOGETHER_MAX, limit - popular.length);
      const flat = await this.#readPage(from, count);
      for (let place = 0; place < flat.length; place += 2) {
        const score = flat[place + 1] as string;
        from = { score, ties: score === from.score ? from.ties + 1 : 1 };
        popular.push({ key: flat[place] as string, score: Number(score) });
      }
      if (this.#isRestNegligible(popular[0])) return [];
      if (flat.length < 2 * count) break;
    }
    // A caller that has given up takes nothing: the next try would leave it out.
    signal?.throwIfAborted();
    this.#from = from;
    for (const { score } of popular) this.#weight += this.#weightOf(score);
    this.#taken += popular.length;
    this.#parts++;
    return popular;
  }

  /** The part that comes next. What takes longer than a try is not begun again: the next try waits for it. */
  async #restoreNext(): Promise<void> {
    this.#restoring ??= this.#restorePart(this.#parts).finally(() => {
      this.#restoring = undefined;
    });
    await this.#restoring;
  }

  #readPage({ score, ties }: { score: string; ties: number }, count: number): Promise<string[]> {
    const key = popularityKey(this.#dataset);
    // Below the marks.
    return this.#redis.run((client) =>
      client.zrange(key, score, String(this.#oldestMs), 'BYSCORE', 'REV', 'LIMIT', ties, count, 'WITHSCORES'),
    );
  }

  /** Whether the rest is negligible even if each of its keys weighed as much as `first`, the most that it can. */
  #isRestNegligible(first: Popular | undefined): boolean {
    if (first === undefined) return true;
    return (this.#known - this.#taken) * this.#weightOf(first.score) < NEGLIGIBLE_SHARE * this.#weight;
  }

  /** The weight of a score, in reads of the first key. */
  #weightOf(score: number): number {
    this.#firstScore ??= score;
    return 2 ** ((score - this.#firstScore) / HALF_LIFE_MS);
  }
}

/** Forgets what was read of `keysToForget`, until it is read again. Throws `RedisUnavailableError`. */
export async function forgetReads(
  redis: GuardedRedis,
  dataset: string,
  keysToForget: readonly string[],
): Promise<void> {
  if (keysToForget.length === 0) return;
  await inRanking(redis, dataset, (client, key) => client.zrem(key, ...keysToForget));
}

const SAVE = `
INSERT INTO prewarm_popularity (dataset, keys, scores, saved_at) VALUES ($1, $2, $3, now())
ON CONFLICT (dataset) DO UPDATE SET keys = EXCLUDED.keys, scores = EXCLUDED.scores, saved_at = EXCLUDED.saved_at
WHERE cardinality(EXCLUDED.keys) * 2 > cardinality(prewarm_popularity.keys)
  OR prewarm_popularity.saved_at < now() - interval '1 day'`;

/**
 * For a Redis that loses everything. Of two warm-ups the last one to save wins: both know nearly the same. Knowing little
 * (because Redis lost the ranking in this moment, say) is no reason to forget what is saved, not for a day.
 */
export async function savePopularity(
  database: Database,
  dataset: string,
  part: number,
  popular: readonly Popular[],
): Promise<void> {
  if (popular.length === 0) return;
  const savedKeys = popular.map(({ key }) => key);
  await database.query(SAVE, [rowOf(dataset, part), savedKeys, popular.map(({ score }) => score)]);
}

/** The member that marks a part as put back; no key has such a name. */
function markOf(part: number): string {
  return `\n${part}`;
}

/** Each part of a ranking is a row: one of a million keys would take longer than a statement may. */
function rowOf(dataset: string, part: number): string {
  return part === 0 ? dataset : `${dataset}/${part}`;
}

/** The rows `dataset` and `dataset/1` are the parts 0 and 1. */
const SAVED_PARTS = `
SELECT coalesce(nullif(substr(dataset, length($1) + 2), ''), '0')::int AS part, cardinality(keys) AS keys
FROM prewarm_popularity
WHERE dataset = $1 OR (starts_with(dataset, $1 || '/') AND substr(dataset, length($1) + 2) ~ '^[0-9]{1,4}$')`;

const RESTORE = `
SELECT key, score FROM prewarm_popularity, unnest(keys, scores) AS saved (key, score) WHERE dataset = $1`;

/** Adds a saved part to the ranking. Doing it twice is no harm: it doubles the weight of all that was saved. */
async function restore(
  redis: GuardedRedis,
  database: Database,
  dataset: string,
  part: number,
): Promise<void> {
  const saved = await database.query<Popular>(RESTORE, [rowOf(dataset, part)]);
  if (saved.length > 0)
    log.info('popularity.restored', 'The ranking was restored from Postgres.', {
      dataset,
      part,
      keys: saved.length,
    });
  await addWeighed(redis, dataset, 0, saved);
}
