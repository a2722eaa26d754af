/** What is read in a run: ids of users in the order of their requests. */
import { SEED_USERS } from '../../../../infra/local/sample-users/seed-users.ts';

export type Trace = {
  /** Names the trace's part of the documentation, and files. */
  readonly name: string;
  /** What it is, in words. */
  readonly about: string;
  readonly userIds: readonly number[];
};

/** Each must be a row of the table, and rows must be made. */
export const USERS_MAX = 200_000;

/** So many users the table needs; not fewer than everybody has who tries Prewarm. */
export function usersNeeded({ userIds }: Trace): number {
  return userIds.reduce((most, id) => Math.max(most, id), SEED_USERS);
}
