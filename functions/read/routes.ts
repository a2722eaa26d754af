/** The routes of the reading function: what each takes, which cache answers it, and how the answer looks. */
import type { CacheRead, Layer } from '../../shared/cache/tiered-cache.ts';
import type { Caches } from '../../shared/caches.ts';
import { NotFoundError } from '../../shared/errors.ts';
import { type Answer, answerJson, type Routes, requireScope } from '../../shared/http/api.ts';
import { parseSearch, parseUserId, parseUserIds } from '../../shared/http/schemas.ts';

const SCOPE = 'users:read';

export function readRoutes(caches: Caches, health: () => Promise<Answer>): Routes {
  return {
    'GET /users/{id}': async (request) => {
      requireScope(request, SCOPE);
      const id = parseUserId(request.pathParameters?.['id']);
      const read = caches.users.probe(id) ?? (await caches.users.get(id));
      if (read.json === null) throw new NotFoundError(`There is no user ${id}.`);
      return answerRead(read.json, read.layer);
    },

    'GET /users': async (request) => {
      requireScope(request, SCOPE);
      const ids = parseUserIds(request.queryStringParameters?.['ids']);
      const reads = await caches.users.getMany(ids);
      return answerRead(listOf(ids, reads), slowestLayer(reads));
    },

    'GET /users/search': async (request) => {
      requireScope(request, SCOPE);
      const read = await caches.userSearch.get(parseSearch(request.queryStringParameters ?? {}));
      return answerRead(read.json ?? '', read.layer);
    },

    'GET /health': health,
  };
}

function answerRead(json: string, layer: Layer): Answer {
  return answerJson(json, { 'x-cache': layer });
}

/** The texts of the users go into the body as they are; ids without a user are named. */
function listOf(ids: readonly number[], reads: readonly CacheRead[]): string {
  const items = reads.filter((read) => read.json !== null).map((read) => read.json);
  const missing = ids.filter((_, index) => reads[index]?.json === null);
  return `{"items":[${items.join(',')}],"missing":[${missing.join(',')}]}`;
}

/** An answer of several reads is as warm as its coldest part. */
const COLDEST_FIRST: readonly Layer[] = ['miss', 'stale', 'l2', 'hydrated', 'l1'];

function slowestLayer(reads: readonly CacheRead[]): Layer {
  return COLDEST_FIRST.find((layer) => reads.some((read) => read.layer === layer)) ?? 'l1';
}
