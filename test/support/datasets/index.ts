/** The datasets that tests of the cache and of the warmer work with, whatever the product registers beside them. */
import { userSearch } from '../../../shared/datasets/user-search.ts';
import { users } from '../../../shared/datasets/users.ts';

export const datasets = { users, userSearch } as const;

export type Registered = typeof datasets;
