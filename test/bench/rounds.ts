/** The timed cases: every contestant in a process of its own, one sample of each in every round, the order turned by one a round. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { LostProcessError } from '../support/programs/program.ts';
import { LIMITED_CONNECTION } from './contestants/contestant.ts';
import type { EntrantName } from './contestants/index.ts';
import type { Failures } from './failures.ts';
import { type ContestantClient, withEachContestant } from './processes/contestant-client.ts';
import type { Opening } from './processes/contestant-process.ts';
import { MANY, type Sample, type SampleKind, type Timing } from './processes/sampler.ts';
import type { BenchRedis } from './servers.ts';
import { pairedRatio, shuffled } from './statistics.ts';

export type CaseContext = {
  /** For the cases that need not harm their Redis. */
  readonly redis: BenchRedis;
  readonly rounds: number;
};

export type TimedSpec = SampleKind & {
  readonly layer: 'l1' | 'l2';
  readonly entrants: readonly EntrantName[];
};

/** By entrant, one a round; not of peers that failed. */
export type Samples<Sample = Timing> = ReadonlyMap<EntrantName, readonly Sample[]>;

/** The ids of a case about memory fit twice; those of a case about Redis are five times as many, read in a cycle, so none is found in memory. */
const MEMORY_ENTRIES_MAX = 1_000;
const IDS = { l1: 500, l2: 5_000 } as const;
const MEMORY_MS = 60_000;
const REDIS_MS = 15 * 60_000;

/** Ids of no case: they push all others out of a memory that batch reads, in some peers, never fill. */
const IDS_TO_EVICT_WITH = Array.from({ length: MEMORY_ENTRIES_MAX }, (_, index) =>
  String(IDS.l2 + 1 + index),
);

const WARM_UP_SAMPLES = 3;
const VERIFIED_IDS = 50;
const TRIES_MAX = 10;
/** Longer than Prewarm's breaker stays open. */
const PAUSE_MS = 1_000;
/** Of the reads of a case about memory, those that may find their entry run out and go to Redis. */
const STRAY_SHARE_MAX = 0.01;

/** As all contestants are opened, but for what `own` says. */
export function openingOf(
  redis: BenchRedis,
  layer: 'l1' | 'l2',
  entrant: EntrantName,
  own: Partial<Opening['setup']> = {},
): Opening {
  const setup = {
    redisUrl: redis.nextDatabaseUrl(),
    connection: LIMITED_CONNECTION,
    layer,
    memoryEntriesMax: MEMORY_ENTRIES_MAX,
    memoryMs: MEMORY_MS,
    redisMs: REDIS_MS,
  };
  return { entrant, setup: { ...setup, ...own }, ids: shuffledIds(IDS[layer]) };
}

export async function timeInRounds(
  spec: TimedSpec,
  { rounds, redis }: CaseContext,
  failures: Failures<EntrantName>,
): Promise<Samples> {
  const { layer, entrants } = spec;
  // Some memories keep a part of what is read in a cycle: so what is in one must have ended when it is asked for again.
  const own = layer === 'l2' ? { memoryMs: 1 } : {};
  const openings = new Map(entrants.map((entrant) => [entrant, openingOf(redis, layer, entrant, own)]));
  const measuring = withEachContestant(openings, failures, async (clients) => {
    for (const client of clients) client.pin();
    const counts = new Map<ContestantClient, number>();
    for (const client of clients) {
      const { ids } = openings.get(client.entrant) as Opening;
      const count = await client.spare(failures, () => prepare(spec, ids, client));
      if (count !== undefined) counts.set(client, count);
    }
    return runRounds([...counts.keys()], rounds, failures, (client) =>
      takeGoodSample({ ...spec, count: counts.get(client) as number }, client, redis.admin),
    );
  });
  return measuring.finally(() => redis.admin.flushall());
}

/** Answers how many calls make a sample. */
async function prepare(spec: TimedSpec, ids: readonly string[], client: ContestantClient): Promise<number> {
  const verified = { mode: spec.mode, ids: ids.slice(0, VERIFIED_IDS) };
  await insist(async () => {
    await client.call('fill', ids);
    if (spec.layer === 'l2') await client.call('fill', IDS_TO_EVICT_WITH);
    await client.call('verify', verified);
  });
  const count = await insist(() => client.call('calibrate', spec));
  const warmUp = () => client.call('sample', { ...spec, count });
  for (let samples = 0; samples < WARM_UP_SAMPLES; samples++) await insist(warmUp);
  return count;
}

/**
 * Again after a pause: a machine that stood still for longer than a command may take makes reads fail, and has breakers
 * believe that Redis is gone. A process that is lost stays lost.
 */
export async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES_MAX || error instanceof LostProcessError) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

/** Who fails in one round plays no more, and what it did before does not count. */
export async function runRounds<Sample>(
  clients: readonly ContestantClient[],
  rounds: number,
  failures: Failures<EntrantName>,
  take: (client: ContestantClient) => Promise<Sample>,
): Promise<Samples<Sample>> {
  const samples = new Map(clients.map(({ entrant }) => [entrant, [] as Sample[]]));
  for (let round = 0; round < rounds; round++) {
    for (const offset of clients.keys()) {
      const client = clients[(round + offset) % clients.length] as ContestantClient;
      if (failures.has(client.name)) continue;
      const sample = await client.spare(failures, () => take(client));
      if (sample === undefined) samples.delete(client.entrant);
      else samples.get(client.entrant)?.push(sample);
    }
  }
  return samples;
}

/** One that is about what the case is about: no entry ran out under it, and no read went elsewhere. */
function takeGoodSample(sample: TimedSpec & Sample, client: ContestantClient, admin: Redis): Promise<Timing> {
  const { layer, mode, count } = sample;
  const read = count * (mode === 'getMany' ? MANY : 1);
  return insist(async () => {
    const before = await keyspaceHits(admin);
    const timing = await client.call('sample', sample);
    const found = (await keyspaceHits(admin)) - before;
    if (layer === 'l1' ? found <= read * STRAY_SHARE_MAX : found >= read) return timing;
    throw new Error(`${client.name} (${layer}, ${mode}): ${found} keys found in Redis in ${read} reads.`);
  });
}

async function keyspaceHits(admin: Redis): Promise<number> {
  return Number(/^keyspace_hits:(\d+)/m.exec(await admin.info('stats'))?.[1]);
}

/** Far from the order in which they were put in, as requests are. */
export function shuffledIds(count: number): string[] {
  return shuffled(
    Array.from({ length: count }, (_, index) => String(index + 1)),
    count,
  );
}

/** Of one entrant, a figure of each round. */
export function figuresOf(samples: Samples, name: EntrantName, figure: keyof Timing): number[] {
  return (samples.get(name) ?? []).map((timing) => timing[figure]);
}

export function ratioOf(
  samples: Samples,
  name: EntrantName,
  base: EntrantName,
  figure: keyof Timing,
): number {
  return pairedRatio(figuresOf(samples, name, figure), figuresOf(samples, base, figure));
}
