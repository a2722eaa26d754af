/** What the benchmarks of the warmer can tell their processes to do. */

import type { Trigger } from '../../../shared/warming/report.ts';

export type Servers = { readonly redisUrl: string; readonly databaseUrl: string };

/** How long it took, and how many statements it sent to Postgres. */
export type Warming = { readonly tookMs: number; readonly statements: number };

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
  close(): Promise<void>;
};

export type ReaderOrders = {
  open(servers: Servers): Promise<void>;
  /** Reads at a fixed rate; answers what each took, counted from when it was due. */
  read(reads: { readonly count: number; readonly apartMs: number; readonly seed: number }): Promise<number[]>;
  close(): Promise<void>;
};
