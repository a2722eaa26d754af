/** What the benchmark can tell a container's process, and a warmer's, to do. */
import type { Trigger, WarmupReport } from '../../../../shared/warming/report.ts';
import type { DeployEntrant } from '../contestants/index.ts';

export type ContainerOpening = {
  readonly entrant: DeployEntrant;
  readonly redisUrl: string;
  readonly databaseUrl: string;
};

/** Requests that come at fixed times, whether the one before is done or not. */
export type PacedRequests = {
  readonly userIds: readonly number[];
  /** When the first one is due, in ms since 1970; all containers are given times of one schedule. */
  readonly startAtMs: number;
  readonly paceMs: number;
};

export type Outcome = 'hit' | 'miss' | 'failed';

/** One entry a request in each, in the order of the requests. */
export type PacedAnswers = {
  /** From when it was due, so that waiting for the one before counts. */
  readonly latenciesMs: readonly number[];
  readonly outcomes: readonly Outcome[];
  /** Statements that this process has sent to Postgres since its start, when the request was answered. */
  readonly statements: readonly number[];
};

/** How many reads failed, and what was sent to Postgres for all of them. */
export type Replayed = { readonly failed: number; readonly statements: number };

export type ContainerOrders = {
  open(opening: ContainerOpening): Promise<void>;
  /** Reads one after the other. */
  replay(userIds: readonly number[]): Promise<Replayed>;
  flush(): Promise<void>;
  answer(requests: PacedRequests): Promise<PacedAnswers>;
  close(): Promise<void>;
};

export type WarmerResult = { readonly report: WarmupReport; readonly statements: number };

export type WarmerOrders = {
  warm(trigger: Trigger): Promise<WarmerResult>;
  close(): Promise<void>;
};
