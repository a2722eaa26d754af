/** What callers are answered while Postgres is away: what is known, what is not, and when to ask again. */
import type { Context } from 'aws-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { readRoutes } from '../../../functions/read/routes.ts';
import { openCaches } from '../../../shared/caches.ts';
import { answerJson } from '../../../shared/http/answer.ts';
import { type ApiRequest, apiHandler } from '../../../shared/http/api.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../support/at-end.ts';
import { isolatedServers } from '../../support/servers.ts';
import { openSlowProxy, type SlowProxy } from '../../support/slow-proxy.ts';

const KNOWN = Array.from({ length: 99 }, (_, index) => index + 1);
const UNKNOWN = 500;

let road: SlowProxy;
let redis: GuardedRedis;
let database: Database;
let get: (
  resource: string,
  asked?: Partial<ApiRequest>,
) => Promise<{ status: number; headers: object; json: unknown }>;

beforeEach(async () => {
  const servers = await isolatedServers();
  road = await openSlowProxy(servers.databaseUrl);
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, { ...REQUEST_GUARD, timeoutMs: 10_000 }));
  database = closedAtEnd(new Database(road.url));
  const routes = readRoutes(openCaches(redis, database), async () => answerJson('{}'));
  const handler = apiHandler(routes, async () => {});
  const authorizer = { sub: 'someone', scope: 'users:read', exp: '9999999999' };
  get = async (resource, asked) => {
    const requestContext = { requestId: 'id', authorizer };
    const request = { httpMethod: 'GET', resource, requestContext, headers: {}, ...asked } as ApiRequest;
    const { statusCode, headers = {}, body } = await handler(request, {} as Context);
    return { status: statusCode, headers, json: JSON.parse(body) };
  };
});

const several = (ids: readonly number[]) => get('/users', { queryStringParameters: { ids: ids.join(',') } });

describe('several users', () => {
  it('of whom one is known to nobody are answered without it, and named', async () => {
    await several(KNOWN);
    await road.refuse();
    const { status, headers, json } = await several([...KNOWN, UNKNOWN]);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'retry-after': '2' });
    expect(json).toMatchObject({ items: { length: 99 }, missing: [], unavailable: [UNKNOWN] });
  });

  it('of whom none is known are a 503 that says when to ask again, and nothing of the inside', async () => {
    await road.refuse();
    const { status, headers, json } = await several([UNKNOWN]);
    expect(status).toBe(503);
    expect(headers).toMatchObject({ 'retry-after': '2' });
    expect(json).toMatchObject({ detail: 'Postgres did not answer. Try again in a moment.' });
  });

  it('who are all known are answered as ever', async () => {
    await several(KNOWN);
    await road.refuse();
    const { status, headers, json } = await several(KNOWN);
    expect(status).toBe(200);
    expect(headers).not.toHaveProperty('retry-after');
    expect(json).not.toHaveProperty('unavailable');
  });
});

it('a search that finds nobody is an empty page', async () => {
  const { status, json } = await get('/users/search', { queryStringParameters: { q: 'qqqqqqzz' } });
  expect([status, json]).toEqual([200, { items: [], nextCursor: null }]);
});
