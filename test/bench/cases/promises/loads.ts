/** What is promised of loads: of a missing value whose loader is killed, and of a stale one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { PREWARM } from '../../contestants/index.ts';
import { ContestantClient, withContestants } from '../../processes/contestant-client.ts';
import type { Opening } from '../../processes/contestant-process.ts';
import type { Promised } from '../../report/table.ts';
import { openingOf } from '../../rounds.ts';
import type { BenchRedis } from '../../servers.ts';

const ROUNDS = 6;
const WAITERS = 10;
const LOAD_MS = 5;
const NEVER_MS = 25_000;
const LOOK_AGAIN_MS = 2;
/** For an order to arrive before the moment at which it begins. */
const START_IN_MS = 30;
const FRESH_MS = 200;
/** Longer than the one who refreshes waits for it. */
const SLOW_LOAD_MS = 600;

export async function measureKilledLoader(redis: BenchRedis): Promise<Promised> {
  const opening = openingOf(redis, 'l2', PREWARM);
  const admin = new Redis(opening.setup.redisUrl);
  const measuring = withContestants([opening, opening], async (waiting) => {
    for (const client of waiting) await setDelay(client, LOAD_MS);
    const tookMs: number[] = [];
    for (let round = 0; round < ROUNDS; round++)
      tookMs.push(await killLoader(opening, waiting, admin, `killed-${round}`));
    return tookMs;
  });
  const tookMs = await measuring.finally(() => admin.disconnect());
  return { what: 'Those who wait are answered after the loader was killed', tookMs, limitMs: 1_000 };
}

/** As soon as others wait for it. */
async function killLoader(
  opening: Opening,
  waiting: readonly ContestantClient[],
  admin: Redis,
  id: string,
): Promise<number> {
  const loader = await ContestantClient.start(opening);
  try {
    await setDelay(loader, NEVER_MS);
    loader.call('burst', { id, waiters: 1, startAtMs: Date.now() }).catch(() => undefined);
    while (!(await isLed(admin, id))) await sleep(LOOK_AGAIN_MS);
    const startAtMs = Date.now() + START_IN_MS;
    const bursts = waiting.map((client) => client.call('burst', { id, waiters: WAITERS, startAtMs }));
    await sleep(2 * START_IN_MS);
    loader.kill();
    const killedAtMs = Date.now();
    const lastMs = Math.max(...(await Promise.all(bursts)).map((burst) => burst.lastMs));
    return startAtMs + lastMs - killedAtMs;
  } finally {
    await loader.kill();
  }
}

/** A lease is in the entry's place. */
async function isLed(admin: Redis, id: string): Promise<boolean> {
  const [entryKey] = await admin.keys(`prewarm:entry:*:${id}`);
  return entryKey !== undefined && (await admin.get(entryKey))?.startsWith('l:') === true;
}

export async function measureStaleValue(redis: BenchRedis): Promise<Promised[]> {
  const shortLived = openingOf(redis, 'l2', PREWARM, { redisMs: FRESH_MS });
  const [refresherMs, othersMs]: [number[], number[]] = [[], []];
  await withContestants([shortLived, shortLived], async (clients) => {
    for (let round = 0; round <= ROUNDS; round++) {
      const read = await readStale(clients as [ContestantClient, ContestantClient], `stale-${round}`);
      if (round === 0 || read === undefined) continue; // the first one ran code that was not compiled yet
      refresherMs.push(read.refresherMs);
      othersMs.push(read.othersMs);
    }
  });
  return [
    {
      what: 'A stale value is answered, while another container refreshes it',
      tookMs: othersMs,
      limitMs: 100,
    },
    { what: 'The one who refreshes it is answered', tookMs: refresherMs, limitMs: 350 },
  ];
}

/** Undefined when not the first one refreshed, which a busy machine may do. */
async function readStale([refresher, other]: readonly [ContestantClient, ContestantClient], id: string) {
  await setDelay(refresher, 0);
  await refresher.call('fill', [id]);
  await sleep(FRESH_MS);
  for (const client of [refresher, other]) await setDelay(client, SLOW_LOAD_MS);
  const startAtMs = Date.now() + START_IN_MS;
  const [first, later] = await Promise.all([
    refresher.call('burst', { id, waiters: 1, startAtMs }),
    other.call('burst', { id, waiters: WAITERS, startAtMs: startAtMs + START_IN_MS }),
  ]);
  if (first.loads !== 1 || later.loads !== 0) return undefined;
  return { refresherMs: first.lastMs, othersMs: later.lastMs };
}

async function setDelay(client: ContestantClient, delayMs: number): Promise<void> {
  await client.call('source', { delayMs, fails: false });
}
