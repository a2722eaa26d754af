/** What is promised of reading containers: what they forget, how soon they use Redis again, and how soon they are warm. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reader, WarmingBench } from '../../processes/warming-bench.ts';
import { USERS_WARMED } from '../../processes/warming-sizes.ts';
import type { Promised } from '../../report/table.ts';

/** Each is hydrated once, as its first work. */
export const READERS = 9;
const HYDRATED_KEYS = 1_000;
/** A container that was not hydrated as a whole has waited for it, so long. */
const GIVEN_UP_MS = 200;
const FORGET_ROUNDS = 10;
/** By then the other container has read the old value, and is anywhere between two of its looks at Redis. */
const READ_BEFORE_MS = 100;
const CHECK_EVERY_MS = 500;
const THAW_ROUNDS = 4;
const FROZEN_MS = 1_200;
/** More ids than are read while Redis is away, so that none is in memory. */
const IDS_APART = 1_000;

export async function measureHydration({
  servers: { admin: redis },
  readers,
}: WarmingBench): Promise<Promised> {
  const tookMs: number[] = [];
  await redis.config('RESETSTAT');
  for (const reader of readers) {
    const { keys, durationMs } = await reader.call('hydrate');
    tookMs.push(keys === HYDRATED_KEYS ? durationMs : GIVEN_UP_MS);
  }
  const commands = Number(/^cmdstat_mget:calls=(\d+)/m.exec(await redis.info('commandstats'))?.[1]);
  if (commands > readers.length) throw new Error(`${readers.length} containers sent ${commands} MGET.`);
  const what = `Hydration of a new container with ${HYDRATED_KEYS.toLocaleString('en')} keys, one MGET`;
  return { what, tookMs, limitMs: 20, judged: 0.5 };
}

export async function measureForgetting(bench: WarmingBench, by: 'clear' | 'invalidate'): Promise<Promised> {
  const tookMs: number[] = [];
  for (let round = 1; round <= FORGET_ROUNDS; round++) tookMs.push(await forget(bench, by, round));
  const what = `Another busy container answers the old value after ${by === 'clear' ? 'a clear' : 'an invalidation'}`;
  return { what, tookMs, limitMs: 1_000 };
}

async function forget({ readers }: WarmingBench, by: 'clear' | 'invalidate', id: number): Promise<number> {
  const [watching, changing] = readers as [Reader, Reader];
  const watched = watching.call('watch', id);
  await sleep(READ_BEFORE_MS + (id / FORGET_ROUNDS) * CHECK_EVERY_MS);
  const returnedAtMs = await changing.call('change', { id, by });
  return Math.max(0, (await watched) - returnedAtMs);
}

export async function measureThaw(bench: WarmingBench): Promise<Promised> {
  await bench.warmer.call('warm', USERS_WARMED); // it was cleared
  const tookMs: number[] = [];
  for (let round = 1; round <= THAW_ROUNDS; round++) tookMs.push(await thawOnce(bench, round));
  return { what: 'Redis is used again after its thaw', tookMs, limitMs: 2_000 };
}

async function thawOnce({ servers, readers }: WarmingBench, round: number): Promise<number> {
  const reader = readers[0] as Reader;
  servers.freeze();
  try {
    const used = reader.call('untilRedis', round * IDS_APART);
    await sleep(FROZEN_MS + (round / THAW_ROUNDS) * CHECK_EVERY_MS);
    servers.thaw();
    const thawedAtMs = Date.now();
    return (await used) - thawedAtMs;
  } finally {
    servers.thaw();
  }
}
