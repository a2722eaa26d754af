/** Aurora PostgreSQL, Serverless v2: a writer, and a reader to fail over to where the stage has one. */
import { Duration } from 'aws-cdk-lib';
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  DatabaseCluster,
  DatabaseClusterEngine,
  ProxyTarget,
} from 'aws-cdk-lib/aws-rds';
import type { Construct } from 'constructs';
import type { NewAurora } from '../stage-config.ts';
import {
  acknowledgeServer,
  backupWindow,
  createLogs,
  identifierOf,
  insights,
  type PostgresServer,
  type PostgresServerProps,
  postgresName,
  serverDefaults,
} from './postgres-server.ts';

export function createAurora(
  scope: Construct,
  config: NewAurora,
  props: PostgresServerProps,
): PostgresServer {
  const cluster = new DatabaseCluster(scope, 'Cluster', {
    ...serverDefaults(scope, props),
    ...instances(config),
    engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_17_9 }),
    clusterIdentifier: identifierOf(scope),
    defaultDatabaseName: postgresName,
    backup: { retention: Duration.days(config.backupRetentionDays), preferredWindow: backupWindow },
  });
  cluster.node.addDependency(createLogs(scope, 'cluster', props.logRetention));
  acknowledgeServer(cluster, props);
  return { target: ProxyTarget.fromCluster(cluster), secret: cluster.secret };
}

/** The reader is as large as the writer at any time: it may have to take its place. */
function instances({ hasReader, minCapacity, maxCapacity }: NewAurora) {
  return {
    writer: ClusterInstance.serverlessV2('Writer', insights),
    readers: hasReader
      ? [ClusterInstance.serverlessV2('Reader', { ...insights, scaleWithWriter: true })]
      : [],
    serverlessV2MinCapacity: minCapacity,
    serverlessV2MaxCapacity: maxCapacity,
  };
}
