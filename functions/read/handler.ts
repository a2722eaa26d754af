/** Answers the reads: users by id, several users, searches; and the health of what they need. */
import { openCaches } from '../../shared/caches.ts';
import { environment } from '../../shared/environment.ts';
import { apiHandler } from '../../shared/http/api.ts';
import { log, setLogLevel } from '../../shared/logger.ts';
import { Telemetry } from '../../shared/metrics/telemetry.ts';
import { Database } from '../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../shared/redis/guarded-redis.ts';
import { type Hydrated, Hydration } from '../../shared/warming/hydration.ts';
import { ReadReporter } from '../../shared/warming/popularity.ts';
import { within } from '../../shared/within.ts';
import { healthCheck } from './health.ts';
import { readRoutes } from './routes.ts';

/** TCP, TLS and authentication on a cold network; without Redis or Postgres the container starts all the same. */
const CONNECT_TIMEOUT_MS = 300;

setLogLevel(environment.logLevel());
const redis = new GuardedRedis(environment.redisUrl(), REQUEST_GUARD);
const database = new Database(environment.databaseUrl(), { isRdsProxy: environment.isRdsProxy() });
const caches = openCaches(redis, database);
const telemetry = new Telemetry(redis, environment.pushgateway(), Object.values(caches));

const reads = new ReadReporter(redis, Object.values(caches));
const hydration = new Hydration(redis, Object.values(caches));

/** What a first request would wait for, before there is one: both connections, and a memory that knows what is hot. */
async function prepare(): Promise<void> {
  const [hydrated] = await Promise.all([connectAndHydrate(), within(CONNECT_TIMEOUT_MS, connectDatabase())]);
  log.info('container.ready', 'Container is ready.', hydrated);
}

async function connectAndHydrate(): Promise<Hydrated> {
  await redis.connect(CONNECT_TIMEOUT_MS);
  return hydration.fill();
}

async function connectDatabase(): Promise<void> {
  try {
    await database.connect(1);
  } catch (error) {
    log.warn('postgres.not_ready', 'Starting without the database.', { error });
  }
}

await prepare();

export const handler = apiHandler(readRoutes(caches, healthCheck(redis, database)), async () => {
  await Promise.all([hydration.fillAgainIfAged(), telemetry.flushIfDue(), reads.reportIfDue()]);
});
