/** The routes of the reading function: what each takes, which cache answers it, and how the answer looks. */
import type { CacheRead, Layer } from '../../shared/cache/tiered-cache.ts';
import type { Caches } from '../../shared/caches.ts';
import { EMPTY_PAGE } from '../../shared/datasets/user-search.ts';
import { NotFoundError } from '../../shared/errors.ts';
import { type Answer, answerJson } from '../../shared/http/answer.ts';
import { type Routes, requireScope } from '../../shared/http/api.ts';
import { RETRY_AFTER_SECONDS } from '../../shared/http/problem.ts';
import { parseSearch, parseUserId, parseUserIds } from '../../shared/http/schemas.ts';
import type { Scope } from '../../shared/http/scopes.ts';

const SCOPE: Scope = 'users:read';

export function readRoutes(caches: Caches, health: () => Promise<Answer>): Routes {
  return {
    'GET /users/{id}': async (request) => {
      requireScope(request, SCOPE);
      const id = parseUserId(request.pathParameters?.['id']);
      const read = await caches.users.get(id);
      if (read.json === null) throw new NotFoundError(`There is no user ${id}.`);
      return answerRead(read.json, read.layer);
    },

    'GET /users': async (request) => {
      requireScope(request, SCOPE);
      const ids = parseUserIds(request.queryStringParameters?.['ids']);
      const { reads, failure } = await caches.users.getKnown(ids);
      const known = reads.filter((read) => read !== undefined);
      if (failure !== undefined && known.length === 0) throw failure;
      const answer = answerRead(listOf(ids, reads), slowestLayer(known));
      return failure === undefined ? answer : { ...answer, headers: { ...answer.headers, ...TRY_AGAIN } };
    },

    'GET /users/search': async (request) => {
      requireScope(request, SCOPE);
      const read = await caches.userSearch.get(parseSearch(request.queryStringParameters ?? {}));
      return answerRead(read.json ?? EMPTY_PAGE, read.layer);
    },

    'GET /health': health,
  };
}

function answerRead(json: string, layer: Layer): Answer {
  return answerJson(json, { 'x-cache': layer });
}

/** Postgres is away, and some of what was asked for is known all the same. */
const TRY_AGAIN = { 'retry-after': String(RETRY_AFTER_SECONDS) };

/**
 * The texts of the users go into the body as they are; ids without a user are named, and, where there are any, those of
 * which nobody can tell at the moment.
 */
function listOf(ids: readonly number[], reads: readonly (CacheRead | undefined)[]): string {
  const items = reads.flatMap((read) => read?.json ?? []);
  const missing = ids.filter((_, index) => reads[index]?.json === null);
  const unavailable = ids.filter((_, index) => reads[index] === undefined);
  const rest = unavailable.length === 0 ? '' : `,"unavailable":[${unavailable.join(',')}]`;
  return `{"items":[${items.join(',')}],"missing":[${missing.join(',')}]${rest}}`;
}

/** An answer of several reads is as warm as its coldest part. */
const COLDEST_FIRST: readonly Layer[] = ['miss', 'stale', 'l2', 'hydrated', 'l1'];

function slowestLayer(reads: readonly CacheRead[]): Layer {
  return COLDEST_FIRST.find((layer) => reads.some((read) => read.layer === layer)) ?? 'l1';
}
