/** What containers promise each other: processes of their own over one Redis and one PostgreSQL, frozen, thawed and killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import type { Sighting } from '../../../support/programs/reader.ts';
import { type Reader, startReader } from '../../../support/programs/start.ts';
import { connectPg, type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { openSlowProxy } from '../../../support/slow-proxy.ts';
import { nameOf, renameUser } from '../../../support/user-names.ts';

const PROCESSES = 10;
/** What was cached before a clear or an invalidation is answered by nobody so long after it was answered. */
const PROMISE_MS = 1_000;
/** For so long a process leads that says nothing more: those who wait for it look on for longer. */
const LEASE_MS = 700;

let servers: IsolatedServers;
let database: Database;
let admin: pg.Client;
let redis: Redis;
let everyone: Reader[];
let here: Reader;
let elsewhere: Reader;
let third: Reader;

type Named = { readonly json: string | null };
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const rename = (id: number, name: string) => renameUser(admin, id, name);

const namesIn = async (processes: readonly Reader[], id: number) =>
  (await Promise.all(processes.map((reader) => reader.call('get', id)))).map(nameOf);

const loadsOf = async (processes: readonly Reader[]) =>
  sum(await Promise.all(processes.map((reader) => reader.call('loads'))));

const untilMs = (atMs: number) => sleep(Math.max(0, atMs - Date.now()));

/** The two ways to make the caches forget a user; each resolves when the call was answered. */
const WAYS = [
  { way: 'a clear', forget: async (by: Reader, _id: number) => void (await by.call('clear')) },
  {
    way: 'an invalidation',
    forget: async (by: Reader, id: number) => by.call('invalidate', [id], await database.nowUs()),
  },
];

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
  admin = await connectPg(servers.databaseUrl);
  redis = closedAtEnd(new Redis(servers.redisUrl));
  everyone = await Promise.all(Array.from({ length: PROCESSES }, () => startReader(servers)));
  [here, elsewhere, third] = everyone as [Reader, Reader, Reader];
});
beforeEach(async () => {
  await redis.flushdb();
  await Promise.all(everyone.map((reader) => reader.call('open', {})));
});
afterEach(() => {
  for (const reader of everyone) reader.thaw();
});

describe('a missing value', () => {
  it('is loaded once for a thousand reads in ten processes', async () => {
    await Promise.all(everyone.map((reader) => reader.call('open', { loadDelayMs: 100 })));
    const reads = await Promise.all(everyone.map((reader) => reader.call('getTimes', 1, 100)));
    expect(reads.flat()).toHaveLength(1_000);
    expect(new Set(reads.flat().map(({ json }) => json)).size).toBe(1);
    expect(nameOf(reads.flat()[0] as Named)).toEqual(expect.any(String));
    expect(await loadsOf(everyone)).toBe(1);
  });

  it.each([300, 1_800])(
    'is loaded once also when that takes %d ms, longer than a lease lives',
    async (loadDelayMs) => {
      await Promise.all(everyone.map((reader) => reader.call('open', { loadDelayMs })));
      const reads = await Promise.all(everyone.map((reader) => reader.call('getTimes', 1, 10)));
      expect(new Set(reads.flat().map(({ json }) => json)).size).toBe(1);
      expect(await loadsOf(everyone)).toBe(1);
    },
  );

  it('is loaded once while the table is locked for 1.6 s, and answered to all when it is free', async () => {
    await admin.query('BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
    const reads = everyone.map((reader) => reader.call('getTimes', 1, 10));
    await sleep(1_600);
    await admin.query('COMMIT');
    expect(new Set((await Promise.all(reads)).flat().map(({ json }) => json)).size).toBe(1);
    expect(await loadsOf(everyone)).toBe(1);
  });

  it('is loaded by one of those who wait, and answered to all, when the process that loads it is killed', async () => {
    const leader = await startReader(servers);
    await leader.call('holdLoads');
    const lost = leader.call('get', 2).catch(() => 'lost');
    await leader.call('untilHeld');
    const waiting = [here, elsewhere, third];
    const reads = waiting.map((reader) => reader.call('get', 2));
    // The lead is in the entry's place, and ends by itself.
    const [entryKey = ''] = await redis.keys('prewarm:entry:*:2');
    expect(await redis.get(entryKey)).toMatch(/^l:/);
    expect(await redis.pttl(entryKey)).toSatisfy((ttlMs: number) => ttlMs > 0 && ttlMs <= LEASE_MS);
    await leader.kill();
    expect(await lost).toBe('lost');
    const answers = await Promise.all(reads);
    expect(answers.map(nameOf)).toEqual(waiting.map(() => expect.any(String)));
    expect(new Set(answers.map(({ json }) => json)).size).toBe(1);
    expect(await loadsOf(waiting)).toBe(1);
  });
});

describe.each(WAYS)('after $way', ({ forget }) => {
  /** Those reads that answered `name` and began later than `afterMs`. */
  const seenAfter = (sightings: readonly Sighting[], name: string, afterMs: number) =>
    sightings.filter((sighting) => nameOf(sighting) === name && sighting.lastAtMs > afterMs);

  it('busy processes answer nothing older: the one that asked for it at once, the others a second later', async () => {
    await rename(10, 'Before');
    await namesIn(everyone, 10);
    const watches = everyone.map((reader) => reader.call('watch', 10));
    await rename(10, 'After');
    await forget(here, 10);
    const forgottenAtMs = Date.now();
    await Promise.all(everyone.map((reader) => reader.call('endWatches', forgottenAtMs + PROMISE_MS)));
    const [byHere = [], ...byOthers] = await Promise.all(watches);
    for (const sightings of [byHere, ...byOthers]) {
      expect(seenAfter(sightings, 'After', forgottenAtMs + PROMISE_MS)).toHaveLength(1);
    }
    expect(seenAfter(byHere, 'Before', forgottenAtMs)).toEqual([]);
    for (const sightings of byOthers) {
      expect(seenAfter(sightings, 'Before', forgottenAtMs + PROMISE_MS)).toEqual([]);
    }
  });

  it('idle processes, and one that was frozen meanwhile, answer nothing older a second later', async () => {
    await rename(12, 'Before');
    await namesIn(everyone, 12);
    elsewhere.freeze();
    const early = [elsewhere.call('probe', 12), elsewhere.call('get', 12)];
    await rename(12, 'After');
    await forget(here, 12);
    const forgottenAtMs = Date.now();
    expect(nameOf(await here.call('get', 12))).toBe('After');
    await untilMs(forgottenAtMs + PROMISE_MS + 1); // a timer may be early by one
    const probes = everyone.map((reader) => reader.call('probe', 12));
    const gets = everyone.map((reader) => reader.call('get', 12));
    elsewhere.thaw();
    const answers = await Promise.all([...early, ...probes, ...gets]);
    expect(new Set(answers.filter((read) => read !== undefined).map(nameOf))).toEqual(new Set(['After']));
  });

  it('a process that was frozen while it waited for Redis answers nothing older once it is thawed', async () => {
    const proxy = await openSlowProxy(servers.redisUrl);
    const reader = await startReader({ ...servers, redisUrl: proxy.url });
    await rename(13, 'Before');
    expect(await namesIn([reader], 13)).toEqual(['Before']);
    proxy.hang();
    const holding = proxy.untilHolding();
    const underWay = reader.call('get', 99);
    await holding;
    reader.freeze();
    await proxy.recover();
    await rename(13, 'After');
    await forget(here, 13);
    await sleep(PROMISE_MS + 1);
    const early = [reader.call('probe', 13), reader.call('get', 13)];
    reader.thaw();
    expect(nameOf(await underWay)).toEqual(expect.any(String));
    const late = [reader.call('probe', 13), reader.call('get', 13)];
    const answers = await Promise.all([...early, ...late]);
    expect(new Set(answers.filter((read) => read !== undefined).map(nameOf))).toEqual(new Set(['After']));
  });

  it('what a load that began before it stores is seen by nobody', async () => {
    await rename(14, 'Before');
    await elsewhere.call('holdLoads');
    const read = elsewhere.call('get', 14);
    await elsewhere.call('untilHeld');
    await rename(14, 'After');
    await forget(here, 14);
    const forgottenAtMs = Date.now();
    const atOnce = here.call('get', 14);
    await elsewhere.call('releaseLoads');
    expect(['Before', 'After']).toContain(nameOf(await read));
    expect(nameOf(await atOnce)).toBe('After');
    await untilMs(forgottenAtMs + PROMISE_MS + 1);
    expect(await namesIn([here, elsewhere, third], 14)).toEqual(['After', 'After', 'After']);
  });

  it('what a load stores that was frozen meanwhile is seen by nobody', async () => {
    await rename(15, 'Before');
    await elsewhere.call('holdLoads');
    const read = elsewhere.call('get', 15);
    await elsewhere.call('untilHeld');
    elsewhere.freeze();
    await rename(15, 'After');
    await forget(here, 15);
    await sleep(PROMISE_MS + 1);
    const released = elsewhere.call('releaseLoads');
    const first = elsewhere.call('get', 15);
    elsewhere.thaw();
    expect(nameOf(await first)).toBe('After');
    await released;
    expect(['Before', 'After']).toContain(nameOf(await read));
    expect(await namesIn([here, elsewhere, third], 15)).toEqual(['After', 'After', 'After']);
  });
});

describe('after a clear', () => {
  it('a process that had given Redis up before it was frozen answers nothing older once it is thawed', async () => {
    const proxy = await openSlowProxy(servers.redisUrl);
    const reader = await startReader({ ...servers, redisUrl: proxy.url });
    await rename(16, 'Before');
    expect(await namesIn([reader], 16)).toEqual(['Before']);
    proxy.hang();
    expect(await reader.call('get', 99)).toMatchObject({ layer: 'miss' });
    reader.freeze();
    await proxy.recover();
    await rename(16, 'After');
    await here.call('clear');
    await sleep(PROMISE_MS + 1);
    const answers = [reader.call('probe', 16), reader.call('get', 16)];
    reader.thaw();
    const reads = (await Promise.all(answers)).filter((read) => read !== undefined);
    expect(new Set(reads.map(nameOf))).toEqual(new Set(['After']));
  });
});

describe('an invalidation', () => {
  it('leaves other users in the memory of every process, frozen or not', async () => {
    await Promise.all(everyone.map((reader) => reader.call('getMany', [20, 21, 22])));
    elsewhere.freeze();
    await here.call('invalidate', [20], await database.nowUs());
    await sleep(PROMISE_MS + 1);
    elsewhere.thaw();
    await namesIn(everyone, 22); // all have heard of the invalidation by then
    const probes = await Promise.all(everyone.map((reader) => reader.call('probe', 21)));
    expect(probes.map((read) => read?.layer)).toEqual(everyone.map(() => 'l1'));
  });
});

describe('a value that was read earlier', () => {
  /** The stored text: whatever its form, it must not change. */
  const stored = async (id: number) => {
    const generation = (await redis.get(keys.generation(users.name))) ?? '0';
    return redis.get(keys.entry(users.name, users.schemaVersion, generation, String(id)));
  };

  it.each([
    { writer: 'a read', id: 30, write: (by: Reader, id: number) => by.call('get', id) },
    { writer: 'a read of several', id: 31, write: (by: Reader, id: number) => by.call('getMany', [id, 99]) },
    { writer: 'a warm-up', id: 32, write: (by: Reader, id: number) => by.call('warm', [id, 99]) },
  ])('never replaces one that was read later, if written late by $writer', async ({ id, write }) => {
    await elsewhere.call('holdLoads');
    const late = write(elsewhere, id);
    await elsewhere.call('untilHeld');
    await rename(id, 'Later');
    await here.call('invalidate', [id], await database.nowUs());
    expect(nameOf(await here.call('get', id))).toBe('Later');
    const before = await stored(id);
    expect(before).toContain('Later');
    await elsewhere.call('releaseLoads');
    await late;
    expect(await stored(id)).toBe(before);
    expect(await third.call('get', id)).toMatchObject({ layer: 'l2' });
    expect(await namesIn([here, elsewhere, third], id)).toEqual(['Later', 'Later', 'Later']);
  });

  it('never replaces one that was read later, also when nobody invalidated it', async () => {
    await elsewhere.call('holdLoads');
    const late = elsewhere.call('get', 33);
    await elsewhere.call('untilHeld');
    await rename(33, 'Later');
    await here.call('warm', [33]);
    const before = await stored(33);
    expect(before).toContain('Later');
    await elsewhere.call('releaseLoads');
    expect(nameOf(await late)).toBe('Later');
    expect(await stored(33)).toBe(before);
    expect(await namesIn([here, elsewhere, third], 33)).toEqual(['Later', 'Later', 'Later']);
  });
});

describe('a stale value', () => {
  const stale = { freshMs: 0, graceMs: 60_000 };

  it('is refreshed by one of ten processes, and answered by all while that load goes on', async () => {
    await here.call('open', { timing: stale });
    await here.call('get', 40);
    await rename(40, 'Refreshed');
    await Promise.all(everyone.map((reader) => reader.call('open', {})));
    await Promise.all(everyone.map((reader) => reader.call('get', 41))); // has looked, as a container in use has
    const before = await loadsOf(everyone);
    await Promise.all(everyone.map((reader) => reader.call('holdLoads')));
    const reads = await Promise.all(everyone.map((reader) => reader.call('get', 40)));
    expect(reads.map(({ layer }) => layer)).toEqual(everyone.map(() => 'stale'));
    expect((await loadsOf(everyone)) - before).toBe(1);
    await Promise.all(everyone.map((reader) => reader.call('releaseLoads')));
    await expect.poll(() => namesIn([third], 40)).toEqual(['Refreshed']);
  });
});
