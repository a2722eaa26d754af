/** What the admin function answers on each of its routes. Each is counted first, then acts. */
import { runWarmer, startWarmer } from '../../shared/aws/invoke-warmer.ts';
import type { ReadReplicationGroup } from '../../shared/aws/replication-group.ts';
import type { Caches } from '../../shared/caches.ts';
import { InvalidInputError, isOurFault, WarmupRunningError } from '../../shared/errors.ts';
import { type Answer, answerJson } from '../../shared/http/answer.ts';
import { type Answers, type ApiRequest, callerOf } from '../../shared/http/api.ts';
import type { AdminLimits } from '../../shared/http/rate-limit.ts';
import { log } from '../../shared/logger.ts';
import type { Database } from '../../shared/postgres/database.ts';
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';
import { type RoutesOf, routes } from '../../shared/routes.ts';
import { lockHolder } from '../../shared/warming/lock.ts';
import { type ClearBody, parseClearBody, parseWaitSeconds } from './input.ts';
import { readStatus } from './status.ts';

export type AdminServices = {
  readonly redis: GuardedRedis;
  readonly database: Database;
  readonly caches: Caches;
  readonly limits: AdminLimits;
  readonly warmerFunctionName: string;
  /** @default - Redis is not an ElastiCache replication group of ours */
  readonly readReplicationGroup?: ReadReplicationGroup | undefined;
};

type AdminRoute = RoutesOf<'admin'>;

export function adminRoutes(services: AdminServices): Answers<AdminRoute> {
  const names = Object.values(services.caches).map(({ name }) => name);
  const answers: Answers<AdminRoute> = {
    'GET /admin/status': async () =>
      answerJson(JSON.stringify(await readStatus(services.redis, names, services.readReplicationGroup))),
    'POST /admin/warm-up': (request) => warmUpByHand(services, request),
    'POST /admin/clear': async ({ body }) => {
      const cleared = await clear(services, parseClearBody(body, names));
      log.info('cache.cleared', 'The cache was cleared.', { cleared });
      return answerJson(JSON.stringify({ cleared }));
    },
  };
  const counted = (Object.keys(answers) as AdminRoute[]).map((name) => [
    name,
    (request: ApiRequest) => answerCounted(services.limits, name, request, answers[name]),
  ]);
  return Object.fromEntries(counted);
}

/** Within the exact limit of the route. */
async function answerCounted(
  limits: AdminLimits,
  name: AdminRoute,
  request: ApiRequest,
  answer: (request: ApiRequest) => Promise<Answer>,
): Promise<Answer> {
  const giveBack = await limits.consume(routes[name].limit, callerOf(request).sub);
  try {
    return await answer(request);
  } catch (error) {
    // Nothing was done: neither for our reasons, nor for what was wrong with the request.
    if (isOurFault(error) || error instanceof InvalidInputError) await giveBack();
    throw error;
  }
}

/** The request's own traceId goes on in the warm-up: one id from the call to the last line about it. */
async function warmUpByHand(
  { redis, warmerFunctionName }: AdminServices,
  request: ApiRequest,
): Promise<Answer> {
  const traceId = request.requestContext.requestId;
  const event = { trigger: 'manual', traceId } as const;
  const waitSeconds = parseWaitSeconds(headerOf(request, 'prefer'));
  const holder = await lockHolder(redis);
  if (holder !== null) throw new WarmupRunningError(holder);
  if (waitSeconds === 0) {
    await startWarmer(warmerFunctionName, event);
    return started(traceId);
  }
  const report = await runWarmer(warmerFunctionName, event, waitSeconds * 1_000);
  if (report === undefined) return started(traceId);
  // The start was sent twice because its connection broke: the first one is running.
  if (report.holderTraceId === traceId) return started(traceId);
  // Another one took the lock between the look at it and the start.
  if (report.status === 'skipped') throw new WarmupRunningError(report.holderTraceId ?? '');
  return answerJson(JSON.stringify(report), { 'preference-applied': `wait=${waitSeconds}` });
}

/** The location is relative to the request's, because a deployed API has its stage in the path. */
function started(traceId: string): Answer {
  return answerJson(JSON.stringify({ status: 'started', traceId }), { location: 'status' }, 202);
}

/** What was cleared, a dataset each: with the `ids` that it was, or all of it. */
async function clear({ caches, database }: AdminServices, body: ClearBody): Promise<object[]> {
  if (body.ids !== undefined) {
    if (body.dataset !== undefined && body.dataset !== caches.users.name) {
      throw new InvalidInputError('body.ids', `given with the dataset "${caches.users.name}" only`);
    }
    await caches.users.invalidate(body.ids, await database.nowUs());
    const derived = caches.users.derivedNames.map((dataset) => ({ dataset, derivedFrom: caches.users.name }));
    return [{ dataset: caches.users.name, ids: body.ids }, ...derived];
  }
  const all = Object.values(caches);
  const derived = new Set(all.flatMap(({ derivedNames }) => derivedNames));
  const chosen = all.filter(({ name }) =>
    body.dataset === undefined ? !derived.has(name) : name === body.dataset,
  );
  const cleared: object[] = [];
  // One after the other: each may wait for the replicas, and a wait holds up the connection that both use.
  for (const cache of chosen) {
    cleared.push({ dataset: cache.name, ...(await cache.clear()) });
    for (const dataset of cache.derivedNames) cleared.push({ dataset, derivedFrom: cache.name });
  }
  return cleared;
}

function headerOf(request: ApiRequest, name: string): string | undefined {
  const found = Object.entries(request.headers).find(([key]) => key.toLowerCase() === name);
  return found?.[1];
}
