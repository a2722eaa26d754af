/** What of the data wakes somebody: room and power that are nearly used up, and a proxy that cannot share its connections. */
import { Duration } from 'aws-cdk-lib';
import { ComparisonOperator, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Alarms } from '../constructs/alarms.ts';
import type { NewAurora, NewRds, NewRedis } from '../stage-config.ts';

const period = Duration.minutes(5);
const gibibyte = 2 ** 30;

/** One node stands for its shard, which hold the same, and one shard for all, over which keys are spread evenly. */
export function alarmOnRedis(alarms: Alarms, groupId: string, { shards }: NewRedis): void {
  alarms.add('RedisNearlyFull', {
    metric: new Metric({
      namespace: 'AWS/ElastiCache',
      metricName: 'DatabaseMemoryUsagePercentage',
      dimensionsMap: { CacheClusterId: `${groupId}-${shards ? '0001-' : ''}001` },
      statistic: 'Maximum',
      period,
    }),
    threshold: 80,
    periods: 3,
    meaning: 'Redis has used 80 % of its memory; at 100 % it evicts what people read.',
  });
}

export function alarmOnDatabase(alarms: Alarms, identifier: string, config: NewAurora | NewRds): void {
  const metric = (metricName: string, statistic: string) =>
    new Metric({
      namespace: 'AWS/RDS',
      metricName,
      dimensionsMap: {
        [config.kind === 'aurora' ? 'DBClusterIdentifier' : 'DBInstanceIdentifier']: identifier,
      },
      statistic,
      period,
    });
  alarms.add('DatabaseBusy', {
    metric: metric(config.kind === 'aurora' ? 'ACUUtilization' : 'CPUUtilization', 'Average'),
    threshold: 85,
    periods: 3,
    meaning: 'Postgres has worked at 85 % of what it may for a quarter of an hour.',
  });
  // Aurora's storage grows by itself.
  if (config.kind === 'aurora') return;
  alarms.add('DatabaseNearlyFull', {
    metric: metric('FreeStorageSpace', 'Minimum'),
    comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
    threshold: 2 * gibibyte,
    meaning: 'Postgres has less than 2 GiB of storage left.',
  });
}

/** Migrations pin one connection, for minutes at most. */
export function alarmOnProxy(alarms: Alarms, proxyName: string): void {
  alarms.add('ConnectionsPinned', {
    metric: new Metric({
      namespace: 'AWS/RDS',
      metricName: 'DatabaseConnectionsCurrentlySessionPinned',
      dimensionsMap: { ProxyName: proxyName },
      statistic: 'Minimum',
      period,
    }),
    threshold: 1,
    periods: 3,
    meaning: 'RDS Proxy keeps connections for single clients, and will run out of them.',
  });
}
