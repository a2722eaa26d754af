/** A warm-up of more than Redis has room for: it says what is there in the end, and what is read most is. */
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import type { StepReport, WarmupReport } from '../../../../shared/warming/report.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { isolatedServers, type OwnRedis, startOwnRedis } from '../../../support/servers.ts';
import { datasetsOf, runWarmUp } from '../../../support/warm-ups.ts';

const HOTTEST = 1_000;
/** What is taken of which nobody has read anything. */
const GUESSED = 20_000;
const SEARCHES = 50;

let database: Database;
let server: OwnRedis;
let redis: GuardedRedis;

beforeAll(async () => {
  const servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
});
beforeEach(async () => {
  server = await startOwnRedis();
  redis = closedAtEnd(new GuardedRedis(server.url, { ...WARMER_GUARD, timeoutMs: 10_000 }));
});

async function limitMemory(maxmemory: string, policy: string): Promise<void> {
  await redis.run((client) => client.config('SET', 'maxmemory', maxmemory, 'maxmemory-policy', policy));
}

function warmAll(): Promise<{ report: WarmupReport }> {
  return runWarmUp(redis, database, datasetsOf(users.warmIdsMax, SEARCHES));
}

function stepOf(report: WarmupReport, name: string): StepReport {
  return report.steps.find((step) => step.name === name) ?? expect.fail(`There is no step ${name}`);
}

/** How many of `ids` are warm. */
async function countThere(ids: readonly number[]): Promise<number> {
  const generation = (await redis.run((client) => client.get(keys.generation(users.name)))) ?? '0';
  let there = 0;
  // A few at a time, and not their values: what Redis answers takes memory as well, and would evict.
  for (let from = 0; from < ids.length; from += 200) {
    const some = ids.slice(from, from + 200);
    const entryKeys = some.map((id) => keys.entry(users.name, users.schemaVersion, generation, String(id)));
    there += await redis.run((client) => client.exists(entryKeys));
  }
  return there;
}

// Not with `allkeys-…`, which may evict the generation as well: then all that is stored is cold, whatever it is.
it.each(['volatile-lru', 'volatile-lfu', 'volatile-random'])(
  'with the policy %s what is read most is there, and the report says how much is and why the rest is not',
  async (policy) => {
    await limitMemory('8mb', policy);
    const { report } = await warmAll();

    const step = stepOf(report, 'top-users');
    const ranked = await users.rank(database, GUESSED);
    expect(report.status).toBe('partial');
    expect(step).toMatchObject({ status: 'partial', planned: GUESSED });
    expect(step.failures.map(({ cause }) => cause)).toContain(
      'not stored: Redis is full, and evicts what is read more',
    );
    expect(await countThere(ranked.slice(0, HOTTEST)), JSON.stringify(report)).toBe(HOTTEST);
    const there = await countThere(ranked);
    expect(step.warmed).toBe(there);
    expect(step.confirmed).toBe(there);
    expect(step.warmed + step.failed).toBe(step.planned);
    expect(there).toBeGreaterThan(3_000);
  },
);

it('with room for all of it a sample is looked up again, and is there', async () => {
  await limitMemory('256mb', 'volatile-lru');
  const { report } = await warmAll();
  expect(report.status).toBe('success');
  expect(stepOf(report, 'top-users')).toMatchObject({ warmed: GUESSED, confirmed: 1_000, lostToEviction: 0 });
  expect(stepOf(report, 'user-search')).toMatchObject({ warmed: SEARCHES, confirmed: SEARCHES });
});

it('what older entries give way to is no reason to stop', async () => {
  await limitMemory('64mb', 'volatile-lru');
  // Nobody has read these for a while; the clock of an eviction has a resolution of seconds.
  await redis.run((client) =>
    client.eval(
      "for i = 1, 60000 do redis.call('SET', 'old:' .. i, string.rep('x', 700), 'EX', 3600) end",
      0,
    ),
  );
  await expect
    .poll(() => redis.run((client) => client.object('IDLETIME', 'old:60000')))
    .toBeGreaterThanOrEqual(2);
  const { report } = await warmAll();
  expect(report).toMatchObject({ status: 'success' });
});
