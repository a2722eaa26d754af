/** What the reading function answers on each of its routes. */
import type { Caches } from '../../shared/caches.ts';
import { datasets } from '../../shared/datasets/index.ts';
import { EMPTY_PAGE } from '../../shared/datasets/user-search.ts';
import { parseSearch } from '../../shared/datasets/user-search-input.ts';
import { EXPECTED_USER_ID } from '../../shared/datasets/users.ts';
import type { Answer } from '../../shared/http/answer.ts';
import type { Answers, ApiRequest } from '../../shared/http/api.ts';
import type { RoutesOf } from '../../shared/routes.ts';
import { answerRead, readOne, readSeveral } from './by-id.ts';

/** The key must be the route as `shared/routes.ts` declares it; one that is missing here is a type error. */
export function readRoutes(
  caches: Caches,
  health: () => Promise<Answer>,
): Answers<RoutesOf<'read' | 'search'>> {
  const users = {
    dataset: datasets.users,
    cache: caches.users,
    one: 'user',
    expectedId: EXPECTED_USER_ID,
  };
  return {
    'GET /users/{id}': readOne(users, 'id'),
    'GET /users': readSeveral(users, 'ids'),
    'GET /users/search': async ({ queryStringParameters }: ApiRequest) => {
      const read = await caches.userSearch.get(parseSearch(queryStringParameters ?? {}));
      return answerRead(read.json ?? EMPTY_PAGE, read.layer);
    },
    'GET /health': health,
  };
}
