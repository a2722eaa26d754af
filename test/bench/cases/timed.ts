/** The timed cases: hits in memory, hits in Redis, and batches from Redis. */
import { type EntrantName, isPeer, PEERS, PREWARM } from '../contestants/index.ts';
import { Failures } from '../failures.ts';
import { type CaseResult, microseconds, times } from '../report/table.ts';
import {
  type CaseContext,
  figuresOf,
  ratioOf,
  type Samples,
  type TimedSpec,
  timeInRounds,
} from '../rounds.ts';
import { median, spreadOf } from '../statistics.ts';

type Goal = { readonly against: EntrantName; readonly atMost: number; readonly aim?: number };

export type TimedCase = TimedSpec & {
  /** The name that `--only` takes. */
  readonly group: string;
  readonly title: string;
  readonly how: string;
  readonly floor: EntrantName;
  readonly goals: readonly Goal[];
};

const EACH_ALONE = 'Each contestant in a process of its own, one sample of each per round.';
const L2_ENTRANTS = [
  'ioredis GET + JSON.parse',
  'ioredis GET + JSON.parse, no time limit',
  'ioredis GET, text',
  PREWARM,
  'Prewarm + JSON.parse',
  ...PEERS,
] satisfies readonly EntrantName[];
const L2_HOW = `5,000 ids in a cycle over a memory of 1,000 entries, so that every read goes to Redis (its count of found keys is checked for each sample). ${EACH_ALONE}`;
const L2_GOALS: readonly Goal[] = [{ against: 'ioredis GET + JSON.parse', atMost: 1.05, aim: 1 }];

export const TIMED_CASES: readonly TimedCase[] = [
  {
    group: 'l1',
    title: 'L1 hit, synchronous',
    how: `500 hot ids in a memory of 1,000 entries, read without a promise; Prewarm counts each hit. ${EACH_ALONE}`,
    layer: 'l1',
    mode: 'probe',
    concurrency: 1,
    entrants: [
      'lru-cache get',
      'lru-cache get, ttlResolution: 0',
      PREWARM,
      'Prewarm, numeric ids',
      'layered-loader',
    ],
    floor: 'lru-cache get',
    goals: [{ against: 'lru-cache get', atMost: 1.5, aim: 1.2 }],
  },
  {
    group: 'l1',
    title: 'L1 hit, awaited',
    how: `The same ids, each read awaited; in Prewarm with its look at Redis every half second. ${EACH_ALONE}`,
    layer: 'l1',
    mode: 'get',
    concurrency: 1,
    entrants: [
      'lru-cache get',
      PREWARM,
      'layered-loader',
      'async-cache-dedupe',
      'bentocache, serialize: false',
      'bentocache',
      'cache-manager',
      'cacheable',
    ],
    floor: 'lru-cache get',
    goals: [{ against: 'layered-loader', atMost: 1, aim: 0.8 }],
  },
  {
    group: 'l2',
    title: 'L2 hit, one at a time',
    how: L2_HOW,
    layer: 'l2',
    mode: 'get',
    concurrency: 1,
    entrants: L2_ENTRANTS,
    floor: 'ioredis GET + JSON.parse',
    goals: L2_GOALS,
  },
  {
    group: 'l2',
    title: 'L2 hit, 50 at a time',
    how: L2_HOW,
    layer: 'l2',
    mode: 'get',
    concurrency: 50,
    entrants: L2_ENTRANTS,
    floor: 'ioredis GET + JSON.parse',
    goals: L2_GOALS,
  },
  {
    group: 'many',
    title: '50 keys from L2',
    how: `One call for 50 ids, none of them in memory. async-cache-dedupe and bentocache have no batch read: 50 reads at once. ${EACH_ALONE}`,
    layer: 'l2',
    mode: 'getMany',
    concurrency: 1,
    entrants: ['ioredis MGET + JSON.parse', 'ioredis MGET, text', PREWARM, 'Prewarm + JSON.parse', ...PEERS],
    floor: 'ioredis MGET + JSON.parse',
    goals: [{ against: 'ioredis MGET + JSON.parse', atMost: 1.2, aim: 1.05 }],
  },
];

export async function runTimedCase(spec: TimedCase, context: CaseContext): Promise<CaseResult> {
  const { title, how, entrants, floor, goals } = spec;
  const failures = new Failures(isPeer);
  const samples = await timeInRounds(spec, context, failures);
  return {
    title,
    how,
    columns: ['median µs', 'p10–p90', `to ${floor}`, 'CPU µs', 'CPU ratio'],
    rows: entrants.map((name) => failures.row(name, () => cellsOf(samples, name, floor))),
    verdicts: goals
      .filter(({ against }) => !failures.has(against))
      .map(({ against, ...limits }) => ({
        what: `Prewarm to ${against}`,
        value: ratioOf(samples, PREWARM, against, 'wallNs'),
        unit: '×',
        ...limits,
      })),
    raw: Object.fromEntries(samples),
  };
}

function cellsOf(samples: Samples, name: EntrantName, floor: EntrantName): string[] {
  const { median: medianNs, p10, p90 } = spreadOf(figuresOf(samples, name, 'wallNs'));
  return [
    microseconds(medianNs),
    `${microseconds(p10)}–${microseconds(p90)}`,
    times(ratioOf(samples, name, floor, 'wallNs')),
    microseconds(median(figuresOf(samples, name, 'cpuNs'))),
    times(ratioOf(samples, name, floor, 'cpuNs')),
  ];
}
