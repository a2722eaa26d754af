/** The datasets that are cached and warmed: the one line that a new one needs. */
import { userSearch } from './user-search.ts';
import { users } from './users.ts';

export const datasets = { users, userSearch } as const;
