/** What an admin's calls make of a Redis that is frozen: they fail for as long as it is, no longer, and are not charged for it. */
import { beforeEach, expect, it } from 'vitest';
import { adminRoutes } from '../../../functions/admin/routes.ts';
import { openCaches } from '../../../shared/caches.ts';
import { RedisUnavailableError } from '../../../shared/errors.ts';
import type { Answer } from '../../../shared/http/answer.ts';
import { AdminLimits } from '../../../shared/http/rate-limit.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { ADMIN_GUARD, GuardedRedis } from '../../../shared/redis/guarded-redis.ts';
import type { RoutesOf } from '../../../shared/routes.ts';
import { closedAtEnd } from '../../support/at-end.ts';
import {
  type IsolatedServers,
  isolatedServers,
  type OwnRedis,
  startOwnRedis,
} from '../../support/servers.ts';

let servers: IsolatedServers;
let own: OwnRedis;
let redis: GuardedRedis;
let database: Database;
let call: (method: string, path: string, sub?: string) => Promise<Answer>;

beforeEach(async () => {
  [servers, own] = await Promise.all([isolatedServers({ seeded: false }), startOwnRedis()]);
  redis = closedAtEnd(new GuardedRedis(own.url, ADMIN_GUARD));
  database = closedAtEnd(new Database(servers.databaseUrl));
  const limits = new AdminLimits(redis);
  const caches = openCaches(redis, database);
  const answers = adminRoutes({ redis, database, caches, limits, warmerFunctionName: 'warmer' });
  call = (method, path, sub = 'oncall') => {
    const authorizer = { sub, scope: 'cache:admin', exp: '9999999999' };
    const request = { requestContext: { requestId: 'id', authorizer }, headers: {}, body: null };
    return answers[`${method} ${path}` as RoutesOf<'admin'>](request as never);
  };
  await call('GET', '/admin/status', 'somebody-else'); // both connections are there
});

const availability = async () =>
  (JSON.parse((await call('GET', '/admin/status')).body) as { redis: { available: boolean } }).redis
    .available;

it('a status after a thaw is right at once: it waits for a probe before it believes an old verdict', async () => {
  own.freeze();
  expect(await availability()).toBe(false);
  own.thaw();
  expect(await availability()).toBe(true);
});

it('clears that fail because Redis is away are not charged', async () => {
  own.freeze();
  for (let tries = 0; tries < 4; tries++) {
    await expect(call('POST', '/admin/clear')).rejects.toBeInstanceOf(RedisUnavailableError);
  }
  own.thaw();
  await expect.poll(() => call('POST', '/admin/clear').then(({ statusCode }) => statusCode)).toBe(200);
});
