/** What the benchmarks of the warmer can tell their processes to do. */

import type { Hydrated } from '../../../shared/warming/hydration.ts';
import type { Trigger, WarmupReport } from '../../../shared/warming/report.ts';

export type Servers = { readonly redisUrl: string; readonly databaseUrl: string };

/** How long it took, and how many statements it sent to Postgres. */
export type Warming = { readonly tookMs: number; readonly statements: number };

/** `startAtMs` is given to other processes too, in ms since 1970. */
export type AtOnce = { readonly count: number; readonly startAtMs: number };
export type Run = { readonly tookMs: number; readonly status: WarmupReport['status'] };

/** What Redis had to do to know of so many reads. */
export type Told = { readonly usPerFlush: number; readonly bytesPerKey: number };

/** Memory is the largest of the process, until then. */
export type LargeWarming = {
  readonly tookMs: number;
  readonly loaded: number;
  readonly found: number;
  readonly commands: number;
  readonly bytesPerKey: number;
  readonly memoryMiB: number;
};

/** Of a batch: its statement, and what Redis takes. */
export type BatchTimes = { readonly loadMs: number; readonly storeMs: number };

export type WarmerOrders = {
  open(servers: Servers): Promise<void>;
  /** A whole warm-up of `users` users, from the lock to its release. */
  warm(users: number): Promise<Warming>;
  /** The same users by `= ANY` and a pipeline of SET, and nothing else. */
  batched(users: number): Promise<Warming>;
  /** The same users by one SELECT and one SET each. */
  oneByOne(users: number): Promise<Warming>;
  /** Warm-ups without a pause between them, until `stop`; answers how many keys they warmed. */
  keepWarming(kind: { readonly users: number; readonly trigger: Trigger }): Promise<number>;
  stop(): Promise<void>;
  /** Warm-ups of all that is registered, started in the same moment. */
  warmAtOnce(start: AtOnce): Promise<Run[]>;
  /** Their first command, and nothing else, by the bare driver; what each took in ms. */
  setAtOnce(start: AtOnce & { readonly key: string }): Promise<number[]>;
  /** Small ones, until the table has so many. */
  addRows(rows: number): Promise<void>;
  /** Of so many keys, the first ones most. */
  tellReads(keys: number): Promise<Told>;
  /** A warm-up of all that was read, unless it is told to end before. */
  warmLarge(kind: { readonly cutAfterMs?: number }): Promise<LargeWarming>;
  /** So many batches, one after the other, and nothing else of a run. */
  timeBatches(batches: number): Promise<readonly BatchTimes[]>;
  clear(): Promise<void>;
  /** A warm-up that takes a while; answers whether it was aborted. */
  warmSlowly(): Promise<boolean>;
  close(): Promise<void>;
};

export type ReaderOrders = {
  open(servers: Servers): Promise<void>;
  /** Reads at a fixed rate; answers what each took, counted from when it was due. */
  read(reads: {
    readonly count: number;
    readonly apartMs: number;
    readonly seed: number;
    /** @default 0.03 */
    readonly loadedShare?: number;
  }): Promise<number[]>;
  /** Fills the memory of caches as a new container does. */
  hydrate(): Promise<Hydrated>;
  /** Reads a user over and over until it is another one; answers when the old one was answered last. */
  watch(id: number): Promise<number>;
  /** Changes a user, and has the caches forget it; answers when that was done. */
  change(change: { readonly id: number; readonly by: 'clear' | 'invalidate' }): Promise<number>;
  /** Reads one user after the other until one comes from Redis; answers when. */
  untilRedis(fromId: number): Promise<number>;
  close(): Promise<void>;
};
