/** A process that stands for one Lambda container: one contestant, one request at a time. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Database } from '../../../shared/postgres/database.ts';
import { offer } from '../../support/programs/offer.ts';
import { countStatements } from '../processes/count-statements.ts';
import { waitUntil } from '../processes/wait-until.ts';
import {
  type DeployContestant,
  type DeployEntrant,
  openContestant,
  WrongAnswerError,
} from './contestants/index.ts';

export type ContainerOpening = {
  readonly entrant: DeployEntrant;
  readonly redisUrl: string;
  readonly databaseUrl: string;
};

/** Requests that come at fixed times, whether the one before is done or not. */
type PacedRequests = {
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

const CONNECT_TRIES_MAX = 10;

let contestant: DeployContestant;
/** With what a pool asks on its own: whether a server is a standby, and whether an idle connection is still there. */
const statementsSent = countStatements();

async function open({ entrant, redisUrl, databaseUrl }: ContainerOpening): Promise<void> {
  const database = new Database(databaseUrl);
  const opening = openContestant(entrant, { redisUrl, database });
  // For everybody, because the reading function does so: what a first load would wait for, and its first statement.
  [contestant] = await Promise.all([opening, connect(database)]);
}

/** Its time limit may strike while all containers start at once on a busy machine, which is not what is measured. */
async function connect(database: Database): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await database.connect(1);
    } catch (error) {
      if (tries === CONNECT_TRIES_MAX) throw error;
    }
  }
}

/** Reads one after the other. */
async function replay(userIds: readonly number[]): Promise<Replayed> {
  const before = statementsSent();
  let failed = 0;
  for (const userId of userIds) {
    if ((await outcomeOf(userId)) === 'failed') failed++;
    await nextTurn(); // each request is an event of its own: what came from Redis meanwhile is heard
  }
  return { failed, statements: statementsSent() - before };
}

async function answer({ userIds, startAtMs, paceMs }: PacedRequests): Promise<PacedAnswers> {
  const answers = { latenciesMs: [] as number[], outcomes: [] as Outcome[], statements: [] as number[] };
  let dueMs = startAtMs - performance.timeOrigin;
  for (const userId of userIds) {
    await waitUntil(dueMs);
    answers.outcomes.push(await outcomeOf(userId));
    answers.latenciesMs.push(roundToUs(performance.now() - dueMs));
    answers.statements.push(statementsSent());
    dueMs += paceMs;
  }
  return answers;
}

function roundToUs(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** A read that fails is a figure; one that answers another user makes all figures worthless. */
async function outcomeOf(userId: number): Promise<Outcome> {
  try {
    return (await contestant.read(userId)) ? 'hit' : 'miss';
  } catch (error) {
    if (error instanceof WrongAnswerError) throw error;
    return 'failed';
  }
}

const orders = { open, replay, answer, flush: async () => contestant.flush?.() };
export type ContainerOrders = typeof orders;

offer(orders);
