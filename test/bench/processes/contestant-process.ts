/** A process with one contestant in it, so that no other one's calls spoil its compiled code; does what the benchmark sends it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { offer } from '../../support/programs/offer.ts';
import type { Contestant, Setup } from '../contestants/contestant.ts';
import { type EntrantName, openEntrant } from '../contestants/index.ts';
import { type User, userOf } from '../sample-users.ts';
import { type Mode, type Sample, type SampleKind, Sampler, type Timing } from './sampler.ts';

export type Opening = {
  readonly entrant: EntrantName;
  readonly setup: Omit<Setup, 'load' | 'variant'>;
  /** What samples read, over and over in this order. */
  readonly ids: readonly string[];
};

/** Reads in turn, of which the first are `uncounted`; after every `readsPerList` of them one of `lists`, in a cycle. */
export type Scan = {
  readonly ids: readonly string[];
  readonly uncounted: number;
  readonly lists: readonly (readonly string[])[];
  readonly readsPerList: number;
};

export type BurstResult = {
  readonly loads: number;
  readonly rejected: number;
  readonly firstMs: number;
  readonly lastMs: number;
};

export type OneReadResult = {
  readonly outcome: 'answered' | 'failed' | 'capped';
  /** Beyond the time that the source took. */
  readonly overMs: number;
};

/** Ids that are read at the same time when the caches are filled. */
const FILL_BATCH = 50;
const FILL_TRIES_MAX = 20;
const FILL_PAUSE_MS = 100;
/** Promises that are awaited one in the other until memory has answered; more than any library needs. */
const MEMORY_STEPS_MAX = 500;

let contestant: Contestant;
let sampler: Sampler;
let redisPort: number;
/** The source behind the caches. */
const source = { loads: 0, lastLoadMs: 0, delayMs: 0, fails: false };
/** The real one, of the cases that have it. */
let postgres: { readonly load: (id: string) => Promise<User>; readonly statements: () => number } | undefined;

async function load(id: string): Promise<User> {
  source.loads++;
  const beganMs = performance.now();
  if (source.delayMs > 0) await sleep(source.delayMs);
  source.lastLoadMs = performance.now() - beganMs;
  if (source.fails) throw new Error('The source is broken.');
  return userOf(id);
}

async function open(opening: Opening): Promise<void> {
  const { databaseUrl, redisUrl } = opening.setup;
  redisPort = Number(new URL(redisUrl).port);
  if (databaseUrl !== undefined) postgres = await openPostgres(databaseUrl);
  contestant = await openEntrant(opening.entrant, { ...opening.setup, load: postgres?.load ?? load });
  const refill = opening.setup.layer === 'l1' ? () => fill(opening.ids) : async () => undefined;
  sampler = new Sampler(contestant, opening.ids, refill);
}

async function openPostgres(databaseUrl: string): Promise<typeof postgres> {
  const { openBareUsers } = await import('../contestants/bare-users.ts');
  const { countStatements } = await import('./count-statements.ts');
  const loadText = openBareUsers(databaseUrl);
  return { load: async (id) => JSON.parse(await loadText(id)) as User, statements: countStatements() };
}

/** Reads every id once, so that it is in Redis, and in memory as far as it fits. */
async function fill(ids: readonly string[]): Promise<void> {
  const { get, fill: fillOne = get } = contestant;
  for (let from = 0; from < ids.length; from += FILL_BATCH) {
    const batch = ids.slice(from, from + FILL_BATCH);
    await patiently(() => Promise.all(batch.map((id) => fillOne?.(id))));
  }
}

/** Reads have a time limit, which a machine that is busy with other work may exceed a few times in a row. */
async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await work();
      return;
    } catch (error) {
      if (tries === FILL_TRIES_MAX) throw error;
      await sleep(FILL_PAUSE_MS);
    }
  }
}

/** Throws unless `ids` are answered with the users that they stand for. */
async function verify({ mode, ids }: { mode: Mode; ids: readonly string[] }): Promise<void> {
  const reads = await readAll(mode, ids);
  for (const [index, id] of ids.entries()) {
    const read = reads[index];
    const user = contestant.toUser ? contestant.toUser(read) : read;
    const expected = (await postgres?.load(id)) ?? userOf(id);
    if (!isDeepStrictEqual(user, expected)) throw new Error(`${mode} of id ${id} answered something else.`);
  }
}

async function readAll(mode: Mode, ids: readonly string[]): Promise<readonly unknown[]> {
  if (mode === 'getMany') return (await contestant.getMany?.(ids)) ?? [];
  if (mode === 'probe') return ids.map((id) => contestant.probe?.(id));
  return Promise.all(ids.map((id) => contestant.get?.(id)));
}

/** A sample whose calls are misses, each with one statement to Postgres; throws if they were not. */
async function sampleMisses(sample: Sample): Promise<Timing> {
  const before = postgres?.statements() ?? 0;
  const timing = await sampler.take(sample);
  const statements = (postgres?.statements() ?? 0) - before;
  if (statements === sample.count) return timing;
  throw new Error(`${statements} statements were sent in ${sample.count} misses.`);
}

/** Round trips to Redis of so many misses, one after the other. */
async function countTripsOf(misses: number): Promise<number> {
  const { countTrips } = await import('./count-trips.ts');
  return countTrips(redisPort, () => sampleMisses({ mode: 'get', concurrency: 1, count: misses }));
}

/** How many of the reads memory answered, and how often the source was asked. */
async function countHits({ ids, uncounted, lists, readsPerList }: Scan) {
  const loads = source.loads;
  let hits = 0;
  for (const [place, id] of ids.entries()) {
    if ((await isInMemory(id)) && place >= uncounted) hits++;
    const list = lists[Math.floor(place / readsPerList) % lists.length];
    if (list !== undefined && place % readsPerList === 0) await contestant.getMany?.(list);
  }
  return { hits, loads: source.loads - loads };
}

/** What memory has is answered without a load, before the process could hear of anything; who asks Redis beside it says so itself. */
async function isInMemory(id: string): Promise<boolean> {
  const loads = source.loads;
  let isAnswered = false;
  const reading = Promise.resolve(contestant.get?.(id)).then((read) => {
    isAnswered = true;
    return read;
  });
  for (let steps = 0; steps < MEMORY_STEPS_MAX && !isAnswered; steps++) await undefined;
  const wasAtOnce = isAnswered && source.loads === loads;
  const read = await reading;
  return contestant.isFromMemory?.(read) ?? wasAtOnce;
}

/** All waiters ask for one id at `startAtMs`, which other processes are given too. */
async function burst(order: { id: string; waiters: number; startAtMs: number }): Promise<BurstResult> {
  source.loads = 0;
  await sleep(Math.max(0, order.startAtMs - Date.now() - 5));
  while (Date.now() < order.startAtMs); // timers are late by a millisecond or more
  const beganMs = performance.now();
  const outcomes = await Promise.all(Array.from({ length: order.waiters }, () => askOnce(order.id, beganMs)));
  const endsMs = outcomes.map(({ endMs }) => endMs);
  return {
    loads: source.loads,
    rejected: outcomes.filter(({ rejected }) => rejected).length,
    firstMs: Math.min(...endsMs),
    lastMs: Math.max(...endsMs),
  };
}

async function askOnce(id: string, beganMs: number): Promise<{ rejected: boolean; endMs: number }> {
  let rejected = false;
  try {
    await contestant.get?.(id);
  } catch {
    rejected = true;
  }
  return { rejected, endMs: performance.now() - beganMs };
}

/** How long one read takes beyond the load of its value; at most `capMs`. */
async function readOnce(order: { id: string; capMs: number }): Promise<OneReadResult> {
  source.loads = 0;
  const beganMs = performance.now();
  const read = askOnce(order.id, beganMs);
  const answer = await Promise.race([read, sleep(order.capMs, undefined, { ref: false })]);
  if (answer === undefined) return { outcome: 'capped', overMs: order.capMs };
  const overMs = answer.endMs - (source.loads > 0 ? source.lastLoadMs : 0);
  return { outcome: answer.rejected ? 'failed' : 'answered', overMs };
}

const orders = {
  open,
  fill,
  verify,
  /** How many calls make a sample long enough. */
  calibrate: async (kind: SampleKind) => sampler.calibrate(kind),
  sample: async (sample: Sample) => sampler.take(sample),
  sampleMisses,
  countHits,
  countTrips: countTripsOf,
  source: async (behaviour: { delayMs: number; fails: boolean }) => void Object.assign(source, behaviour),
  burst,
  readOnce,
  close: async () => void (await contestant.close()),
};

export type Orders = typeof orders;

offer(orders);
// Reads of a dead server may fail after they were given up.
process.on('unhandledRejection', () => {});
