/** The answer of `GET /admin/status`: the warm-up that runs, the last ones, the fleet's totals, Redis. */
import type { ReadReplicationGroup, ReplicationGroupFacts } from '../../shared/aws/replication-group.ts';
import { cacheKeys } from '../../shared/cache/redis-scripts.ts';
import { RedisUnavailableError } from '../../shared/errors.ts';
import { totalsKeys } from '../../shared/metrics/fleet-totals.ts';
import { lastPushFailure, type PushFailure } from '../../shared/metrics/publisher.ts';
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';
import { readMemoryUsageBytes } from '../../shared/redis/memory-usage.ts';
import { withOwnTypes } from '../../shared/redis/own-types.ts';
import { lockHolder } from '../../shared/warming/lock.ts';
import { lastReports, type WarmupReport } from '../../shared/warming/report.ts';

const REPORTS_SHOWN = 10;

type RedisStatus =
  | { readonly redis: { readonly available: false } }
  | {
      readonly redis: { readonly available: true; readonly memoryUsedBytes: number | null };
      readonly warmup: {
        readonly runningTraceId: string | null;
        /** Newest first. */
        readonly lastReports: readonly WarmupReport[];
      };
      readonly datasets: readonly { readonly name: string; readonly generation: string }[];
      /** Of all containers, since Redis was empty; they arrive up to 15 s late. */
      readonly totals: Readonly<Record<string, number>>;
      /** Why the Pushgateway refused the last push, if it did. */
      readonly lastPushFailure: PushFailure | null;
    };

/** `replicationGroup` is null when AWS could not tell, and absent when there is none to ask about. */
type Status = RedisStatus & { readonly redis: { readonly replicationGroup?: ReplicationGroupFacts | null } };

/** While Redis is away the status says so, and what AWS says of it: that is what the engineer on call asks first. */
export async function readStatus(
  redis: GuardedRedis,
  datasets: readonly string[],
  readReplicationGroup?: ReadReplicationGroup,
): Promise<Status> {
  const [inside, replicationGroup] = await Promise.all([
    readRedisStatus(redis, datasets),
    readReplicationGroup?.(),
  ]);
  if (replicationGroup === undefined) return inside;
  return { ...inside, redis: { ...inside.redis, replicationGroup } } as Status;
}

async function readRedisStatus(redis: GuardedRedis, datasets: readonly string[]): Promise<RedisStatus> {
  try {
    const [running, reports, facts, pushFailure] = await Promise.all([
      lockHolder(redis),
      lastReports(redis, REPORTS_SHOWN),
      readFacts(redis, datasets),
      lastPushFailure(redis),
    ]);
    return {
      redis: { available: true, memoryUsedBytes: facts.memoryUsedBytes },
      warmup: { runningTraceId: running, lastReports: reports },
      datasets: facts.datasets,
      totals: facts.totals,
      lastPushFailure: pushFailure,
    };
  } catch (error) {
    if (error instanceof RedisUnavailableError) return { redis: { available: false } };
    throw error;
  }
}

async function readFacts(redis: GuardedRedis, names: readonly string[]) {
  const memoryUsedBytes = await readMemoryUsageBytes(redis);
  const [totals, generations] = await Promise.all([
    withOwnTypes(redis, { [totalsKeys.metricTotals]: 'hash' }, (client) =>
      client.hgetall(totalsKeys.metricTotals),
    ),
    Promise.all(names.map((name) => readGeneration(redis, name))),
  ]);
  return {
    memoryUsedBytes: memoryUsedBytes ?? null,
    datasets: names.map((name, index) => ({ name, generation: generations[index] ?? '0' })),
    totals: Object.fromEntries(Object.entries(totals).map(([series, value]) => [series, Number(value)])),
  };
}

function readGeneration(redis: GuardedRedis, dataset: string): Promise<string | null> {
  const key = cacheKeys.generation(dataset);
  return withOwnTypes(redis, { [key]: 'string' }, (client) => client.get(key));
}
