/** What a container of this benchmark has: a cache of users before a real Postgres. */
import type { Database } from '../../../../shared/postgres/database.ts';

export type ContainerSetup = {
  readonly redisUrl: string;
  /** As the product opens it, for everybody. */
  readonly database: Database;
};

export type DeployContestant = {
  /** Whether the user was cached: its load was neither made nor waited for. Throws if the answer is another user. */
  read(userId: number): Promise<boolean>;
  /** Hands on what only this container knows. @default - there is nothing */
  readonly flush?: () => Promise<void>;
  close(): unknown;
};

/** Resolves when the container is ready for its first request. */
export type OpenContestant = (setup: ContainerSetup) => Promise<DeployContestant>;

/** The same for all: what a container keeps, and how long memory and Redis do. */
export const MEMORY_ENTRIES_MAX = 900;
export const MEMORY_MS = 60_000;
export const REDIS_MS = 15 * 60_000;

export class WrongAnswerError extends Error {
  override readonly name = 'WrongAnswerError';

  constructor(userId: number) {
    super(`The user ${userId} was asked for, and something else was answered.`);
  }
}
