/** What the warmer knows of people's reads, on a real Redis and a real PostgreSQL: counted, forgotten in time, warmed first, and not to be lost. */
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { userSearch } from '../../../../shared/datasets/user-search.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { DatabaseUnavailableError } from '../../../../shared/errors.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { addReads, ReadReporter } from '../../../../shared/warming/popularity.ts';
import { mostRead } from '../../../../shared/warming/ranking.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { type Container, openContainer, readAll } from '../../../support/containers.ts';
import { keys } from '../../../support/keys.ts';
import { knownReads, letHoursPass, weightOf } from '../../../support/known-reads.ts';
import { countOutcomes } from '../../../support/redis-outcomes.ts';
import { type IsolatedServers, isolatedServers, startOwnRedis } from '../../../support/servers.ts';
import { readTrace, recallOf, scatterIds } from '../../../support/traces.ts';
import { stopClock } from '../../../support/virtual-clock.ts';
import { datasetsOf, keysOf, runWarmUp, targetsOf } from '../../../support/warm-ups.ts';

const HOT = 1_000;
const NOBODY = 999_999;

let servers: IsolatedServers;
let database: Database;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...WARMER_GUARD, timeoutMs: 30_000 }));
});
beforeEach(async () => {
  await redis.run((client) => client.flushdb());
  await database.query('DELETE FROM prewarm_popularity');
});
afterEach(() => {
  vi.useRealTimers();
});

const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);
const search = (query: string) => ({ query, limit: 20, after: null });

function openContainers(count: number): Promise<Container[]> {
  return Promise.all(range(0, count).map(() => openContainer(servers)));
}

/** Each of `read` that often, in one report. */
function tell(read: Readonly<Record<string, number>>, dataset = users.name): Promise<void> {
  return addReads(redis, dataset, new Map(Object.entries(read)));
}

function eachOnce(count: number, name: (index: number) => string): Record<string, number> {
  return Object.fromEntries(range(0, count).map((index) => [name(index), 1]));
}

async function mostReadKeys(limit: number): Promise<string[]> {
  const ranking = await mostRead(redis, database, users.name);
  return (await ranking.next(limit)).map(({ key }) => key);
}

async function plannedKeys(usersMax: number, searchesMax = 1): Promise<string[]> {
  const [target] = targetsOf(redis, database, datasetsOf(usersMax, searchesMax));
  return keysOf(await target?.plan());
}

/** What a run of the real size warms first. */
async function firstPlanned(): Promise<number[]> {
  return (await plannedKeys(users.warmIdsMax)).slice(0, HOT).map(Number);
}

/** A run of the real size: who reads then finds everybody in Redis. */
async function warmEverybody(): Promise<void> {
  const { report } = await runWarmUp(redis, database, datasetsOf(users.warmIdsMax, 1));
  expect(report.status).toBe('success');
}

describe('a ranking that is read piece by piece', () => {
  it('goes on where the last piece ended that somebody took, whatever was given up', async () => {
    await tell({ '1': 1, '2': 2, '3': 3, '4': 4 });
    const ranking = await mostRead(redis, database, users.name);
    await ranking.next(1);
    const givenUp = new AbortController();
    const late = ranking.next(2, givenUp.signal);
    givenUp.abort(new Error('too late'));
    await expect(late).rejects.toThrow('too late');
    expect((await ranking.next(2)).map(({ key }) => key)).toEqual(['3', '2']);
  });
});

describe('reads are counted', () => {
  it('in every container and dataset: hits in memory and in Redis, misses, and several at once', async () => {
    stopClock(); // what was looked at a moment ago is not answered from memory without another look
    const [one, other] = (await openContainers(2)) as [Container, Container];
    await one.caches.users.get(1); // a miss
    await one.caches.users.get(1); // from memory
    one.caches.users.probe(1);
    await one.caches.users.getMany([1, 2, 3]); // from memory, and misses
    await other.caches.users.getMany([1, 2]); // from Redis
    await one.caches.userSearch.get(search('ann'));
    await one.caches.userSearch.get(search('ann'));
    await other.caches.userSearch.get(search('eva'));
    await Promise.all([one.reads.reportAll(), other.reads.reportAll()]);
    expect([one, other].map(({ caches }) => caches.users.counts)).toMatchObject([
      { miss: 3, l1: 3, l2: 0 },
      { miss: 0, l1: 0, l2: 2 },
    ]);
    expect(await knownReads(redis, users.name)).toEqual({ 1: 5, 2: 2, 3: 1 });
    expect(await knownReads(redis, userSearch.name)).toEqual({ '20::ann': 2, '20::eva': 1 });
  });

  it('but not those of what does not exist, however often it is asked for', async () => {
    const container = await openContainer(servers);
    const { caches, reads } = container;
    for (let times = 0; times < 3; times++) await caches.users.get(NOBODY);
    await caches.users.getMany([NOBODY, NOBODY + 1, 7]);
    await reads.reportAll();
    expect(await knownReads(redis, users.name)).toEqual({ 7: 1 });
  });

  it('and handed on every 15 s at most', async () => {
    stopClock();
    const { caches, reads } = await openContainer(servers);
    const readAndReport = async () => {
      await caches.users.get(5);
      await reads.reportIfDue();
      return knownReads(redis, users.name);
    };
    await reads.reportIfDue(); // nothing to tell yet: the next one need not wait
    expect(await readAndReport()).toEqual({ 5: 1 });
    vi.advanceTimersByTime(14_900);
    expect(await readAndReport()).toEqual({ 5: 1 });
    vi.advanceTimersByTime(5_100); // intervals differ by up to a third
    expect(await readAndReport()).toEqual({ 5: 3 });
  });

  it('a part with each request, so that none of them waits for much', async () => {
    await runWarmUp(redis, database, datasetsOf(500, 1));
    const { caches, reads } = await openContainer(servers);
    await caches.users.getMany(await users.rank(database, 450));
    const known: number[] = [];
    for (let request = 0; request < 4; request++) {
      await reads.reportIfDue();
      known.push(Object.keys(await knownReads(redis, users.name)).length);
    }
    expect(known).toEqual([200, 400, 450, 450]);
  });

  it('and warmed also when the database cannot guess what else they would read', async () => {
    const { caches, reads } = await openContainer(servers);
    await caches.users.getMany([7, 8]);
    await reads.reportAll();
    const cannotGuess = async (): Promise<number[]> => {
      throw new DatabaseUnavailableError('too slow');
    };
    const registered = datasetsOf(10, 1);
    const [target] = targetsOf(redis, database, {
      ...registered,
      users: { ...registered.users, rank: cannotGuess },
    });
    expect(keysOf(await target?.plan()).sort()).toEqual(['7', '8']);
    await redis.run((client) => client.flushdb());
    await expect(target?.plan()).rejects.toThrow('too slow');
  });

  it('a ranking of another type costs what it knew and nothing else', async () => {
    await redis.run((client) => client.set(keys.popularity(users.name), 'no ranking'));
    const { caches, reads } = await openContainer(servers);
    await caches.users.get(5);
    await reads.reportAll();
    const { report } = await runWarmUp(redis, database, datasetsOf(10, 1));
    expect(report).toMatchObject({ status: 'success', planned: 11, warmed: 11 });
  });

  it('and handed on earlier by a container that counted very many', async () => {
    await runWarmUp(redis, database, datasetsOf(6_000, 1));
    const ids = (await users.rank(database, 6_000)).slice(1);
    const { caches, reads } = await openContainer(servers);
    await caches.users.get(1);
    await reads.reportIfDue();
    for (let from = 0; from < ids.length; from += 100) {
      await caches.users.getMany(ids.slice(from, from + 100));
      await reads.reportIfDue();
    }
    expect(Object.keys(await knownReads(redis, users.name)).length).toBeGreaterThan(3_900);
  });

  it('and what memory answered is among them when many other keys were read as well', async () => {
    await runWarmUp(redis, database, datasetsOf(8_000, 1));
    const [hot = 0, ...others] = await users.rank(database, 8_000);
    const { caches, reads } = await openContainer(servers);
    let hotReads = 0;
    for (let from = 0; from < others.length; from += 99) {
      await caches.users.getMany([hot, ...others.slice(from, from + 99)]);
      hotReads++;
      await reads.reportIfDue();
    }
    await reads.reportAll();
    expect(Math.round((await weightOf(redis, users.name, String(hot))) ?? 0)).toBe(hotReads);
  });

  it('and cost a container whose Redis is away nothing but the counts', async () => {
    const own = await startOwnRedis();
    const guard = { ...REQUEST_GUARD, timeoutMs: 2_000 };
    const { caches, reads, redis: its } = await openContainer({ ...servers, redisUrl: own.url, guard });
    await caches.users.get(1);
    await own.stop();
    const outcomes = countOutcomes(its);
    expect(await reads.reportAll()).toBeUndefined();
    await caches.users.get(2);
    expect(await reads.reportIfDue()).toBeUndefined();
    expect(outcomes).toMatchObject({ answered: 0, waitedInVain: 1 });
    expect(caches.users.takeReads()).toEqual(new Map([['2', 1]]));
    await startOwnRedis({ port: own.port });
    await expect.poll(() => its.run((client) => client.ping()).catch(() => 'away')).toBe('PONG');
    await caches.users.get(3);
    await reads.reportAll();
    expect(await knownReads(its, users.name)).toEqual({ 3: 1 });
  });

  it('of so many keys as take a tenth of Redis, where the least popular give way', async () => {
    const own = await startOwnRedis({ args: ['--maxmemory', '64mb'] });
    const its = closedAtEnd(new GuardedRedis(own.url, WARMER_GUARD));
    const popular = range(0, HOT).map((index) => `popular-${index}`);
    const ranked = keys.popularity(users.name);
    await addReads(its, users.name, new Map(popular.map((key) => [key, 2])));
    await addReads(its, users.name, new Map(range(0, 60_000).map((index) => [`once-${index}`, 1])));
    const bytes = await its.run((client) => client.memory('USAGE', ranked, 'SAMPLES', 0));
    expect(bytes).toBeGreaterThan(0.06 * 64 * 2 ** 20);
    expect(bytes).toBeLessThan(0.1 * 64 * 2 ** 20);
    const ranking = await mostRead(its, database, users.name);
    const most = (await ranking.next(HOT)).map(({ key }) => key);
    expect(new Set(most)).toEqual(new Set(popular));
  });

  it('for a day, and without a time to live, which a full Redis would evict by', async () => {
    await tell({ 1: 1, 2: 100 });
    await letHoursPass(redis, users.name, 25);
    await tell({ 3: 1 });
    // A hundred reads of yesterday weigh more than one of a day ago.
    expect(Object.keys(await knownReads(redis, users.name)).sort()).toEqual(['2', '3']);
    expect(await redis.run((client) => client.pttl(keys.popularity(users.name)))).toBe(-1);
  });
});

describe('a read', () => {
  it('weighs half as much after four hours, and reads of different hours add up as they weigh', async () => {
    await tell({ 1: 8, 2: 8 });
    await letHoursPass(redis, users.name, 4);
    expect(await weightOf(redis, users.name, '1')).toBeCloseTo(4, 1);
    await tell({ 2: 3, 3: 5 });
    expect(await weightOf(redis, users.name, '2')).toBeCloseTo(7, 1);
    expect(await mostReadKeys(3)).toEqual(['2', '3', '1']);
    await letHoursPass(redis, users.name, 8);
    expect(await weightOf(redis, users.name, '2')).toBeCloseTo(7 / 4, 1);
  });

  it('of yesterday gives way to one of now', async () => {
    const yesterday = Object.fromEntries(range(0, HOT).map((index) => [`old-${index}`, 60]));
    await tell(yesterday);
    await letHoursPass(redis, users.name, 24);
    const today = eachOnce(HOT, (index) => `new-${index}`);
    await tell(today);
    expect(new Set(await mostReadKeys(HOT))).toEqual(new Set(Object.keys(today)));
  });

  it('that weighs next to nothing is not known any more', async () => {
    await tell({ once: 1, often: 1_000 });
    await letHoursPass(redis, users.name, 24.1);
    expect(await mostReadKeys(10)).toEqual(['often']);
  });
});

describe('a run', () => {
  it("takes what Postgres ranks highest when nobody has read anything, and tells that it's a guess", async () => {
    const { report } = await runWarmUp(redis, database, datasetsOf(300, 1));
    expect(await plannedKeys(300)).toEqual((await users.rank(database, 300)).map(String));
    expect(report.steps.find(({ name }) => name === 'top-users')?.plannedFromReads).toBe(0);
  });

  it('takes what was read first, and fills the rest with what Postgres ranks highest', async () => {
    const ranked = (await users.rank(database, 300)).map(String);
    const read = [ranked[150] as string, '20001', '20002'];
    await tell({ [read[0] as string]: 9, [read[1] as string]: 6, [read[2] as string]: 3 });
    const planned = await plannedKeys(300);
    expect(planned).toEqual([...read, ...ranked.filter((key) => !read.includes(key))].slice(0, 300));
    const { report } = await runWarmUp(redis, database, datasetsOf(300, 1));
    expect(report.steps.find(({ name }) => name === 'top-users')?.plannedFromReads).toBe(3);
  });

  it('follows what people read: the hot set of a day, and of the next day, when it is another', async ({
    annotate,
  }) => {
    const trace = readTrace();
    expect(recallOf(await firstPlanned(), trace, HOT)).toBeLessThan(0.5);
    await warmEverybody();
    const containers = await openContainers(4);
    await readAll(containers, trace);
    const ofFirstDay = recallOf(await firstPlanned(), trace, HOT);
    await letHoursPass(redis, users.name, 24);
    const other = scatterIds(1, Math.max(20_500, ...new Set(trace)));
    const nextTrace = trace.map((id) => other[id - 1] as number);
    await readAll(containers, nextTrace);
    const ofNextDay = recallOf(await firstPlanned(), nextTrace, HOT);
    await annotate(`Recall ${ofFirstDay}, and ${ofNextDay} on the next day.`);
    expect(ofFirstDay).toBeGreaterThanOrEqual(0.95);
    expect(ofNextDay).toBeGreaterThanOrEqual(0.95);
  });

  it('keeps the hot set when a crawler reads everybody once, and many that do not exist', async ({
    annotate,
  }) => {
    await warmEverybody();
    const containers = await openContainers(4);
    await readAll(containers, readTrace());
    const before = new Set(await mostReadKeys(HOT));
    const displaced = async () => (await mostReadKeys(HOT)).filter((key) => !before.has(key)).length;
    await Promise.all(containers.map((container, index) => crawl(container, index, containers.length)));
    const byUsers = await displaced();
    await crawlMadeUpKeys(100_000);
    const byMadeUp = await displaced();
    await annotate(`Of ${HOT} were displaced: ${byUsers}, and ${byMadeUp} by made-up keys.`);
    expect(byUsers).toBeLessThan(HOT / 100);
    expect(byMadeUp).toBeLessThan(HOT / 100);
  });
});

/** Every user once, by a hundred, this container's share of them. */
async function crawl({ caches, reads }: Container, index: number, containers: number): Promise<void> {
  for (let first = 1 + 100 * index; first <= 20_500; first += 100 * containers) {
    await caches.users.getMany(range(first, 100));
    await reads.reportIfDue();
  }
  await reads.reportAll();
}

async function crawlMadeUpKeys(count: number): Promise<void> {
  for (let from = 0; from < count; from += 5_000) {
    await tell(eachOnce(5_000, (index) => String(1_000_000 + from + index)));
  }
}

describe('what people read', () => {
  it('is known from Postgres again when Redis has lost everything, also when some was read in between', async () => {
    await tell({ 20001: 9, 20002: 6, 20003: 3 });
    await runWarmUp(redis, database, datasetsOf(10, 1));
    await redis.run((client) => client.flushdb());
    await tell({ 20004: 30, 20003: 30 });
    expect((await plannedKeys(10)).slice(0, 4)).toEqual(['20003', '20004', '20001', '20002']);
    expect(await weightOf(redis, users.name, '20003')).toBeCloseTo(33, 0);
  });

  it('is forgotten bit by bit where it is too long: Redis answers nobody else meanwhile', async () => {
    const key = keys.popularity('too-long');
    const known = Array.from({ length: 5_000 }, (_, place) => [Date.now() + place, `key-${place}`]);
    const left = await redis.run(async (client) => {
      await client.zadd(key, ...known.flat());
      const add = (name: string) => client.addReads(key, '', 3_600_000, 10, 86_400_000, name, 0);
      return [await add('one'), await add('two'), await add('three')];
    });
    expect(left).toEqual([3_001, 1_002, 10]);
  });

  it('is taken from Postgres once, not at each run', async () => {
    await tell({ 20001: 8 });
    for (let runs = 0; runs < 3; runs++) await runWarmUp(redis, database, datasetsOf(10, 1));
    expect(await weightOf(redis, users.name, '20001')).toBeCloseTo(8, 1);
  });

  it('is not lost in Postgres by a run that knows nothing', async () => {
    const saved = () => database.query('SELECT dataset, keys FROM prewarm_popularity');
    await runWarmUp(redis, database, datasetsOf(10, 1));
    expect(await saved()).toEqual([]);
    await tell({ 20001: 8 });
    await runWarmUp(redis, database, datasetsOf(10, 1));
    expect(await saved()).toEqual([{ dataset: users.name, keys: ['20001'] }]);
    // Its mark is there, and all else has gone.
    await redis.run((client) => client.zremrangebyscore(keys.popularity(users.name), '-inf', '(+inf'));
    await runWarmUp(redis, database, datasetsOf(10, 1));
    expect(await saved()).toEqual([{ dataset: users.name, keys: ['20001'] }]);
  });

  it('may hold what is no key, or another spelling of one, and that is not warmed', async () => {
    await tell({
      '07': 9,
      '7.0': 9,
      ' 7': 9,
      '7e0': 9,
      abc: 9,
      '-1': 9,
      '0': 9,
      NaN: 9,
      '1e400': 9,
      '20001': 2,
    });
    const page = { '20::ann': 2, '20:': 9, x: 9, '020::ann': 9, '20:1-2-3:ann': 9, '20:007-1:ann': 9 };
    await tell(page, userSearch.name);
    const { report, plans } = await runWarmUp(redis, database, datasetsOf(10, 10));
    const [ranked, guessed] = await Promise.all([users.rank(database, 9), userSearch.rank(database, 10)]);
    expect(keysOf(plans.get(users.name))).toEqual(['20001', ...ranked.map(String)]);
    const guesses = guessed.map(userSearch.key).filter((key) => key !== '20::ann');
    expect(keysOf(plans.get(userSearch.name))).toEqual(['20::ann', ...guesses.slice(0, 9)]);
    expect(report).toMatchObject({ status: 'success', planned: 20, warmed: 20 });
    expect(report.steps.flatMap(({ plannedFromReads }) => plannedFromReads ?? [])).toEqual([1, 1]);
  });
});

it('a report of several caches of which one has nothing to tell is one of the others', async () => {
  const told = { name: users.name, hasManyReads: false, takeReads: () => new Map([['1', 2]]) };
  const silent = { name: userSearch.name, hasManyReads: false, takeReads: () => new Map() };
  await new ReadReporter(redis, [silent, told]).reportIfDue();
  expect(await knownReads(redis, users.name)).toEqual({ 1: 2 });
  expect(await redis.run((client) => client.exists(keys.popularity(userSearch.name)))).toBe(0);
});
