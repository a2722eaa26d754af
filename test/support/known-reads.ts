/** What Redis knows of people's reads, for tests: looked at, and made older than they are. */
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';
import { keys } from './keys.ts';

const HOUR_MS = 3_600_000;
/** A read weighs half as much after it. */
const HALF_LIFE_MS = 4 * HOUR_MS;

/** How many reads of this moment weigh as much as all that is known of `key`; undefined when nothing is. */
export async function weightOf(
  redis: GuardedRedis,
  dataset: string,
  key: string,
): Promise<number | undefined> {
  const score = await redis.run((client) => client.zscore(keys.popularity(dataset), key));
  return score === null ? undefined : 2 ** ((Number(score) - Date.now()) / HALF_LIFE_MS);
}

/** The same of all keys, to the whole read. */
export async function knownReads(
  redis: GuardedRedis,
  dataset: string,
): Promise<Readonly<Record<string, number>>> {
  const key = keys.popularity(dataset);
  const members = await redis.run((client) => client.zrange(key, '-inf', '(+inf', 'BYSCORE'));
  const weighed = members.map(async (member) => [
    member,
    Math.round((await weightOf(redis, dataset, member)) ?? 0),
  ]);
  return Object.fromEntries(await Promise.all(weighed));
}

/** +inf is no time but a mark, and stays. */
const MAKE_OLDER = `
local scored = redis.call('ZRANGE', KEYS[1], '-inf', '(+inf', 'BYSCORE', 'WITHSCORES')
for i = 1, #scored, 2 do
  redis.call('ZADD', KEYS[1], string.format('%.3f', scored[i + 1] - ARGV[1]), scored[i])
end
return #scored / 2`;

/** As if `hours` had passed since everything that is known was read. Answers of how many keys. */
export async function letHoursPass(redis: GuardedRedis, dataset: string, hours: number): Promise<number> {
  const passed = redis.run((client) => client.eval(MAKE_OLDER, 1, keys.popularity(dataset), hours * HOUR_MS));
  return (await passed) as number;
}
