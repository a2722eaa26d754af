/** What the benchmark can tell a contestant's process to do. */
import type { Setup } from '../contestants/contestant.ts';
import type { EntrantName } from '../contestants/index.ts';

export type Mode = 'probe' | 'get' | 'getMany';

export type Opening = {
  readonly entrant: EntrantName;
  readonly setup: Omit<Setup, 'load' | 'variant'>;
  /** What samples read, over and over in this order. */
  readonly ids: readonly string[];
};

/** Whether `ids` are answered with their users. */
export type Check = { readonly mode: Mode; readonly ids: readonly string[] };

export type SampleKind = {
  readonly mode: Mode;
  /** Reads under way at the same time. */
  readonly concurrency: number;
};
/** `count` calls; one call of `getMany` reads `MANY` ids. */
export type Sample = SampleKind & { readonly count: number };

/** Of one call, in nanoseconds. */
export type Timing = {
  readonly wallNs: number;
  /** Of all threads of the contestant's process, without Redis': what is left where the way to Redis is not this short. */
  readonly cpuNs: number;
};

/** Ids of one batch read. */
export const MANY = 50;

/** Reads in turn, of which the first are `uncounted`; after every `readsPerList` of them one of `lists`, in a cycle. */
export type Scan = {
  readonly ids: readonly string[];
  readonly uncounted: number;
  readonly lists: readonly (readonly string[])[];
  readonly readsPerList: number;
};

export type Burst = { readonly id: string; readonly waiters: number; readonly startAtMs: number };
export type BurstResult = {
  readonly loads: number;
  readonly rejected: number;
  readonly firstMs: number;
  readonly lastMs: number;
};

export type OneRead = { readonly id: string; readonly capMs: number };
export type OneReadResult = {
  readonly outcome: 'answered' | 'failed' | 'capped';
  /** Beyond the time that the source took. */
  readonly overMs: number;
};

export type Orders = {
  open(opening: Opening): Promise<void>;
  fill(ids: readonly string[]): Promise<void>;
  verify(check: Check): Promise<void>;
  /** How many calls make a sample long enough. */
  calibrate(kind: SampleKind): Promise<number>;
  sample(sample: Sample): Promise<Timing>;
  /** A sample whose calls are misses, each with one statement to Postgres; throws if they were not. */
  sampleMisses(sample: Sample): Promise<Timing>;
  /** Round trips to Redis of so many misses, one after the other. */
  countTrips(misses: number): Promise<number>;
  /** How many of the reads memory answered, and how often the source was asked. */
  countHits(scan: Scan): Promise<{ readonly hits: number; readonly loads: number }>;
  source(behaviour: { readonly delayMs: number; readonly fails: boolean }): Promise<void>;
  burst(burst: Burst): Promise<BurstResult>;
  readOnce(read: OneRead): Promise<OneReadResult>;
  close(): Promise<void>;
};
