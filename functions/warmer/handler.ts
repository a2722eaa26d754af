/** Runs a warm-up: started by every deployment, by the schedule, and by hand. */
import type { Context } from 'aws-lambda';
import * as z from 'zod/mini';
import { openCaches, warmableDatasetsOf } from '../../shared/caches.ts';
import { environment } from '../../shared/environment.ts';
import { ContainerStoppingError, DeadlineNearError } from '../../shared/errors.ts';
import { setLogLevel, withTraceId } from '../../shared/logger.ts';
import { Telemetry } from '../../shared/metrics/telemetry.ts';
import { Database } from '../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../shared/redis/guarded-redis.ts';
import { TRIGGERS, type Trigger, type WarmupReport } from '../../shared/warming/report.ts';
import { warmUp } from '../../shared/warming/warm-up.ts';
import { countWarmup, warmupGauges } from '../../shared/warming/warmup-metrics.ts';

/** A warm-up's first command needs no connect then; it has its own retries if this does not come about. */
const CONNECT_TIMEOUT_MS = 1_000;

setLogLevel(environment.logLevel());
const redis = new GuardedRedis(environment.redisUrl(), WARMER_GUARD);
// A statement ends before the try that runs it does, and the warmer takes two connections at most.
const database = new Database(environment.databaseUrl(), {
  connectionsMax: 2,
  statementTimeoutMs: 900,
  isRdsProxy: environment.isRdsProxy(),
});
const caches = openCaches(redis, database);
const telemetry = new Telemetry(redis, environment.pushgateway(), Object.values(caches));
const datasets = warmableDatasetsOf(redis, database, caches);

await redis.connect(CONNECT_TIMEOUT_MS);

const eventSchema = z.object({ trigger: z.enum(TRIGGERS), traceId: z.optional(z.string()) });

/** Time kept for the hot keys (2 s), the metrics (3 s), the report and the release of the lock (2 s each, without Redis). */
const CLOSING_MS = 9_000;

/** The runs that are under way: aborted when the process is asked to end, so that none leaves its lock behind. */
const underWay = new Map<AbortController, Promise<unknown>>();

process.once('SIGTERM', async () => {
  for (const run of underWay.keys()) run.abort(new ContainerStoppingError('The container is being stopped.'));
  await Promise.allSettled(underWay.values());
  process.exit(0);
});

/** Answers the report, whatever happened; throws only for an event that is none of ours. */
export async function handler(event: unknown, context: Context): Promise<WarmupReport> {
  const { trigger, traceId = context.awsRequestId } = eventSchema.parse(event);
  return withTraceId(traceId, () => run(trigger, traceId, context));
}

async function run(trigger: Trigger, traceId: string, context: Context): Promise<WarmupReport> {
  const deadline = new AbortController();
  const timer = setTimeout(
    () => deadline.abort(new DeadlineNearError("The function's time is nearly used up.")),
    Math.max(0, context.getRemainingTimeInMillis() - CLOSING_MS),
  );
  const running = warmUp({
    traceId,
    trigger,
    redis,
    connect: () => database.connect(),
    datasets,
    signal: deadline.signal,
    recordMetrics: (report, fence) => {
      countWarmup(telemetry.recorder, report);
      // A run that did nothing does not wait for its turn to publish.
      if (fence === undefined) return telemetry.flush();
      return telemetry.publishNow({ order: fence, values: warmupGauges(report) });
    },
  });
  underWay.set(deadline, running);
  try {
    return await running;
  } finally {
    underWay.delete(deadline);
    clearTimeout(timer);
  }
}
