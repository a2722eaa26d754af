/** Redis and Postgres of a stage, as far as they are its own. What is deployed here stays when the service changes. */
import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Alarms } from '../constructs/alarms.ts';
import type { DatabaseConnection, Network, RedisConnection } from '../constructs/connections.ts';
import { networkIn } from '../constructs/existing-servers.ts';
import { PostgresDatabase, type PostgresDatabaseProps } from '../constructs/postgres-database.ts';
import { RedisCache, type RedisCacheProps } from '../constructs/redis-cache.ts';
import type { ExistingNetwork, NewAurora, NewRds, NewRedis, StageConfig } from '../stage-config.ts';
import { alarmOnDatabase, alarmOnProxy, alarmOnRedis } from './data-alarms.ts';

export type DataStackProps = Pick<StageConfig, 'stage' | 'logRetentionDays' | 'alarmEmails'> & {
  readonly network: Network | ExistingNetwork;
  /** @default - somebody else's */
  readonly redis?: NewRedis | undefined;
  /** @default - somebody else's */
  readonly database?: NewAurora | NewRds | undefined;
  readonly keepData: boolean;
};

export class DataStack extends Stack {
  /** Undefined where none was asked for. */
  readonly redis: RedisConnection | undefined;
  /** Undefined where none was asked for. */
  readonly database: DatabaseConnection | undefined;

  constructor(scope: Construct, id: string, props: DataStackProps) {
    super(scope, id, {
      description: `Prewarm (${props.stage}): Redis and Postgres`,
      terminationProtection: props.keepData,
    });
    const { keepData, logRetentionDays: logRetention } = props;
    const common = { network: networkIn(this, props.network), keepData, logRetention };
    const alarms = new Alarms(this, 'Alarms', { emails: props.alarmEmails });
    this.redis = props.redis && this.#createRedis({ ...common, config: props.redis }, alarms);
    this.database = props.database && this.#createDatabase({ ...common, config: props.database }, alarms);
  }

  #createRedis(props: RedisCacheProps, alarms: Alarms): RedisConnection {
    const { connection, groupId } = new RedisCache(this, 'Redis', props);
    alarmOnRedis(alarms, groupId, props.config);
    return connection;
  }

  #createDatabase(props: PostgresDatabaseProps, alarms: Alarms): DatabaseConnection {
    const { connection, identifier, proxyName } = new PostgresDatabase(this, 'Postgres', props);
    alarmOnDatabase(alarms, identifier, props.config);
    alarmOnProxy(alarms, proxyName);
    return connection;
  }
}
