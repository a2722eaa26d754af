/** Reads of what neither memory nor Redis has: loaded from a real Postgres and stored in Redis, all awaited. */
import type { Redis } from 'ioredis';
import { type EntrantName, isPeer, PEERS, PREWARM } from '../contestants/index.ts';
import { Failures } from '../failures.ts';
import { type ContestantClient, withEachContestant } from '../processes/contestant-client.ts';
import { SERVER_CPU } from '../processes/cpu-affinity.ts';
import type { Timing } from '../processes/sampler.ts';
import { type CaseResult, microseconds, times, type Verdict } from '../report/table.ts';
import {
  type CaseContext,
  figuresOf,
  insist,
  openingOf,
  ratioOf,
  runRounds,
  type Samples,
  shuffledIds,
} from '../rounds.ts';
import { startServers } from '../servers.ts';
import { median } from '../statistics.ts';

const FLOOR: EntrantName = 'ioredis + pg + lru-cache';
const NAMED: EntrantName = 'ioredis + pg + lru-cache, named statement';
const ENTRANTS: readonly EntrantName[] = [FLOOR, NAMED, PREWARM, ...PEERS];

/** `count` misses make a sample long enough. */
const KINDS = [
  { name: '1 at a time', concurrency: 1, count: 40 },
  { name: '10 at a time', concurrency: 10, count: 100 },
] as const;
const MISSES_PER_ROUND = KINDS.reduce((sum, { count }) => sum + count, 0);
/** Code is compiled and connections are open after so many. */
const ROUNDS_UNCOUNTED = 5;
/** A sample that was disturbed is taken again, with other ids. */
const ROUNDS_SPARE = 10;
const MISSES_FOR_TRIPS = 40;
const VERIFIED_IDS = 50;
const TIME_RATIO_MAX = 1.15;
const CPU_RATIO_MAX = 1.3;

type Measured = {
  /** Of each of `KINDS`. */
  readonly samples: Samples<readonly Timing[]>;
  /** To Redis, for each miss. */
  readonly trips: ReadonlyMap<string, number>;
};

export async function runMiss({ redis, rounds }: CaseContext): Promise<CaseResult> {
  const failures = new Failures<EntrantName>(isPeer);
  const ids = shuffledIds((ROUNDS_UNCOUNTED + rounds + ROUNDS_SPARE) * MISSES_PER_ROUND + VERIFIED_IDS);
  const servers = await startServers(ids.length);
  try {
    servers.pinPostgres(SERVER_CPU);
    const databaseUrl = await servers.makeDatabase('miss');
    // Each on a Redis database of its own, so that the same ids are misses for all.
    const open = (entrant: EntrantName) => ({
      ...openingOf(redis, 'l2', entrant, { databaseUrl }),
      ids: ids.slice(VERIFIED_IDS),
    });
    const openings = new Map(ENTRANTS.map((entrant) => [entrant, open(entrant)]));
    const measured = await withEachContestant(openings, failures, async (clients) => {
      const verified = { mode: 'get', ids: ids.slice(0, VERIFIED_IDS) } as const;
      for (const client of clients) {
        client.pin();
        await client.spare(failures, () => insist(() => client.call('verify', verified)));
      }
      return measure(clients, rounds, redis.admin, failures);
    });
    return describe(measured, failures);
  } finally {
    await servers.stop();
    await redis.admin.flushall();
  }
}

async function measure(
  clients: readonly ContestantClient[],
  rounds: number,
  admin: Redis,
  failures: Failures<EntrantName>,
): Promise<Measured> {
  const take = async (client: ContestantClient) => {
    const timings: Timing[] = [];
    for (const kind of KINDS) timings.push(await insist(() => takeSample(client, kind, admin)));
    return timings;
  };
  await runRounds(clients, ROUNDS_UNCOUNTED, failures, take);
  const samples = await runRounds(clients, rounds, failures, take);
  return { samples, trips: await countTrips(clients, failures) };
}

async function countTrips(
  clients: readonly ContestantClient[],
  failures: Failures<EntrantName>,
): Promise<Measured['trips']> {
  const trips = new Map<string, number>();
  for (const client of clients) {
    if (failures.has(client.name)) continue;
    const count = () => insist(() => client.call('countTrips', MISSES_FOR_TRIPS));
    trips.set(client.name, ((await client.spare(failures, count)) ?? Number.NaN) / MISSES_FOR_TRIPS);
  }
  return trips;
}

/** One whose users were all loaded, which the process counts, and are all in Redis afterwards. */
async function takeSample(
  client: ContestantClient,
  { concurrency, count }: (typeof KINDS)[number],
  admin: Redis,
): Promise<Timing> {
  const before = await countKeys(admin);
  const timing = await client.call('sampleMisses', { mode: 'get', concurrency, count });
  const stored = (await countKeys(admin)) - before;
  if (stored >= count) return timing;
  throw new Error(`${client.name}: ${stored} of ${count} misses were stored.`);
}

/** Of all databases: only one contestant is busy. */
async function countKeys(admin: Redis): Promise<number> {
  const counts = (await admin.info('keyspace')).matchAll(/^db\d+:keys=(\d+)/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

function describe({ samples, trips }: Measured, failures: Failures<EntrantName>): CaseResult {
  const figures = ['to the floor', 'CPU µs', 'CPU ratio'];
  const kinds = KINDS.map(({ name }, kind) => ({ name, samples: ofKind(samples, kind) }));
  return {
    title: 'A miss, from Postgres',
    how: `Ids that nobody has read before, so that neither memory nor Redis has them: each is loaded from Postgres by one statement (they are counted), and is in Redis when it is answered. The floor is written by hand: GET, the statement of Prewarm's dataset over a pool with the settings of Prewarm's, SET; its second row has Postgres keep the statement's plan, as Prewarm does. The peers load as the first does, and parse. Redis and Postgres have one processor together, and who is measured has the other one. Each contestant in a process of its own, one sample of each per round.`,
    columns: [...KINDS.flatMap(({ name }) => [`${name}: median µs`, ...figures]), 'round trips to Redis'],
    rows: ENTRANTS.map((name) =>
      failures.row(name, () => [
        ...kinds.flatMap((kind) => cellsOf(kind.samples, name)),
        trips.get(name)?.toFixed(1) ?? '',
      ]),
    ),
    verdicts: kinds.flatMap((kind) => verdictsOf(kind.samples, kind.name)),
    raw: { samples: Object.fromEntries(samples), trips: Object.fromEntries(trips) },
  };
}

function ofKind(samples: Measured['samples'], kind: number): Samples {
  return new Map([...samples].map(([name, all]) => [name, all.map((timings) => timings[kind] as Timing)]));
}

function cellsOf(samples: Samples, name: EntrantName): string[] {
  return (['wallNs', 'cpuNs'] as const).flatMap((figure) => [
    microseconds(median(figuresOf(samples, name, figure))),
    times(ratioOf(samples, name, FLOOR, figure)),
  ]);
}

function verdictsOf(samples: Samples, kind: string): Verdict[] {
  const what = `Prewarm to ${FLOOR}, ${kind}`;
  const value = (figure: keyof Timing) => ratioOf(samples, PREWARM, FLOOR, figure);
  return [
    { what, value: value('wallNs'), unit: '×', atMost: TIME_RATIO_MAX },
    { what: `CPU of ${what}`, value: value('cpuNs'), unit: '×', atMost: CPU_RATIO_MAX },
  ];
}
