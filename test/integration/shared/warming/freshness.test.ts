/** How long what a warm-up stored is good for, on a real Redis and a real PostgreSQL: past the next two runs, and not all until the same moment. */
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { decodeEntry } from '../../../../shared/cache/entry.ts';
import type { Dataset } from '../../../../shared/datasets/dataset.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { type Container, openContainer } from '../../../support/containers.ts';
import { keys } from '../../../support/keys.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { letPass, moveRedisAlong, stopClock } from '../../../support/virtual-clock.ts';
import { datasetsOf, runWarmUp } from '../../../support/warm-ups.ts';

const MINUTE_MS = 60_000;
/** Of the schedule. */
const INTERVAL_MS = 30 * MINUTE_MS;
/** Seldom enough that there are hits in Redis too: memory keeps what it has for a minute. */
const READ_EVERY_MS = 20_000;

let servers: IsolatedServers;
let database: Database;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
});
beforeEach(async () => {
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, WARMER_GUARD));
  await redis.run((client) => client.flushdb());
  stopClock();
});
afterEach(() => {
  vi.useRealTimers();
});

it('nobody meets a miss or a stale value of what is hot after the first run, also when a run is left out', async () => {
  const registered = datasetsOf(200, 10);
  const warm = async () => (await runWarmUp(redis, database, registered, 'schedule')).report.status;
  expect(await warm()).toBe('success');
  const containers = await Promise.all([1, 2].map(() => openContainer({ ...servers, registered })));
  await Promise.all(containers.map((container) => moveRedisAlong(container.redis)));
  const hot: Hot = {
    users: await registered.users.rank(database, 200),
    searches: await registered.userSearch.rank(database, 10),
  };
  await readUntilNextRun(containers, hot);
  expect(await warm()).toBe('success');
  await readUntilNextRun(containers, hot);
  await redis.run((client) => client.set(keys.warmupLock, 'somebody who died'));
  expect(await warm()).toBe('skipped');
  await redis.run((client) => client.del(keys.warmupLock));
  await readUntilNextRun(containers, hot);
  expect(await warm()).toBe('success');
  await readUntilNextRun(containers, hot);
  for (const { counts } of containers.flatMap(({ caches }) => Object.values(caches))) {
    expect(counts).toMatchObject({ miss: 0, stale: 0, corrupt: 0 });
    expect(counts.l1).toBeGreaterThan(0);
    // Each key at least once a minute and a half, through four intervals.
    expect(counts.l2).toBeGreaterThanOrEqual(10 * 80);
  }
});

type Hot = {
  readonly users: Parameters<Container['caches']['users']['getMany']>[0];
  readonly searches: Parameters<Container['caches']['userSearch']['getMany']>[0];
};

/** Everybody asks for all that is hot, again and again; the last time in the moment before the run. */
async function readUntilNextRun(containers: readonly Container[], { users, searches }: Hot): Promise<void> {
  for (let passedMs = 0; passedMs < INTERVAL_MS; passedMs += READ_EVERY_MS) {
    await letPass(READ_EVERY_MS);
    const reading = containers.map(({ caches }) =>
      Promise.all([caches.users.getMany(users), caches.userSearch.getMany(searches)]),
    );
    await Promise.all(reading);
  }
}

it('what is warmed outlives the next two runs, also one that comes late, and does not expire all at once', async () => {
  const registered = datasetsOf(1_000, 100);
  expect((await runWarmUp(redis, database, registered)).report.status).toBe('success');
  await expectToLast(registered.users, 1_000);
  await expectToLast(registered.userSearch, 100);
});

async function expectToLast<Id>(dataset: Dataset<Id>, count: number): Promise<void> {
  const warmedAtMs = Date.now();
  const freshUntilMs = await freshTimes(dataset, count);
  expect(freshUntilMs).toHaveLength(count);
  expect(Math.min(...freshUntilMs) - warmedAtMs).toBeGreaterThan(2 * INTERVAL_MS + 5 * MINUTE_MS);
  const spreadMs = Math.max(...freshUntilMs) - Math.min(...freshUntilMs);
  expect(spreadMs).toBeGreaterThan(dataset.timing.warmFreshMs * 0.09);
}

it('of 10,000 keys that are warmed together at most twice as many as on average expire in any second', async ({
  annotate,
}) => {
  const registered = datasetsOf(10_000, 1);
  await runWarmUp(redis, database, registered);
  const freshUntilMs = (await freshTimes(registered.users, 10_000)).sort((a, b) => a - b);
  const seconds = ((freshUntilMs.at(-1) ?? 0) - (freshUntilMs[0] ?? 0)) / 1_000;
  expect(seconds).toBeGreaterThan(6 * 60);
  const ratio = mostWithin(1_000, freshUntilMs) / (freshUntilMs.length / seconds);
  await annotate(`In the worst second ${ratio.toFixed(2)} times as many expire as on average.`);
  expect(ratio).toBeLessThanOrEqual(2);
});

/** How many of some ascending times lie in the fullest window of so many ms. */
function mostWithin(windowMs: number, timesMs: readonly number[]): number {
  let first = 0;
  let most = 0;
  for (const [place, timeMs] of timesMs.entries()) {
    while ((timesMs[first] as number) <= timeMs - windowMs) first++;
    most = Math.max(most, place + 1 - first);
  }
  return most;
}

/** Until when the entries of the highest ranked ids are fresh, as Redis has them. */
async function freshTimes<Id>(dataset: Dataset<Id>, count: number): Promise<number[]> {
  const generation = await redis.run((client) => client.get(keys.generation(dataset.name)));
  const entryKeys = (await dataset.rank(database, count)).map((id) =>
    keys.entry(dataset.name, dataset.schemaVersion, generation ?? '', dataset.key(id)),
  );
  const texts = await redis.readTexts(entryKeys);
  return texts.flatMap((text) => decodeEntry(text ?? '')?.freshUntilMs ?? []);
}
