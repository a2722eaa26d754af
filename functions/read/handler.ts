/** Answers the reads: users by id, several users, searches; and the health of what they need. */
import { openCaches } from '../../shared/caches.ts';
import { environment } from '../../shared/environment.ts';
import { apiHandler } from '../../shared/http/api.ts';
import { setLogLevel } from '../../shared/logger.ts';
import { Telemetry } from '../../shared/metrics/telemetry.ts';
import { Database } from '../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../shared/redis/guarded-redis.ts';
import { healthCheck } from './health.ts';
import { readRoutes } from './routes.ts';

/** TCP, TLS and AUTH on a cold network; without Redis the container starts all the same, and its first request pays nothing. */
const CONNECT_TIMEOUT_MS = 300;

setLogLevel(environment.logLevel());
const redis = new GuardedRedis(environment.redisUrl(), REQUEST_GUARD);
const database = new Database(environment.databaseUrl());
const caches = openCaches(redis, database);
const telemetry = new Telemetry(redis, environment.pushgatewayUrl(), Object.values(caches));

await redis.connect(CONNECT_TIMEOUT_MS);

export const handler = apiHandler(readRoutes(caches, healthCheck(redis, database)), () =>
  telemetry.flushIfDue(),
);
