/** Answers the admins and the engineer on call: what the cache and the warm-ups do, a warm-up by hand, a clear. */
import type { ReadReplicationGroup } from '../../shared/aws/replication-group.ts';
import { openCaches } from '../../shared/caches.ts';
import { environment } from '../../shared/environment.ts';
import { apiHandler } from '../../shared/http/api.ts';
import { AdminLimits } from '../../shared/http/rate-limit.ts';
import { setLogLevel } from '../../shared/logger.ts';
import { Telemetry } from '../../shared/metrics/telemetry.ts';
import { Database } from '../../shared/postgres/database.ts';
import { ADMIN_GUARD, GuardedRedis } from '../../shared/redis/guarded-redis.ts';
import { adminRoutes } from './routes.ts';

setLogLevel(environment.logLevel());
const redis = new GuardedRedis(environment.redisUrl(), ADMIN_GUARD);
const database = new Database(environment.databaseUrl(), {
  connectionsMax: 1,
  isRdsProxy: environment.isRdsProxy(),
});
const caches = openCaches(redis, database);
const telemetry = new Telemetry(redis, environment.pushgateway(), Object.values(caches));
const limits = new AdminLimits(redis);

/** The service's client is loaded only where there is a group to ask about. */
async function openReplicationGroup(id: string | undefined): Promise<ReadReplicationGroup | undefined> {
  if (id === undefined) return undefined;
  const { replicationGroupReader } = await import('../../shared/aws/replication-group.ts');
  return replicationGroupReader(id);
}

const routes = adminRoutes({
  redis,
  database,
  caches,
  limits,
  warmerFunctionName: environment.warmerFunctionName(),
  readReplicationGroup: await openReplicationGroup(environment.replicationGroupId()),
});

export const handler = apiHandler(routes, () => telemetry.flushIfDue());
