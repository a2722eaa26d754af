/** RDS for PostgreSQL: one instance, and a standby in another zone where the stage has one. */
import { Duration, Validations } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import {
  DatabaseInstance,
  DatabaseInstanceEngine,
  PostgresEngineVersion,
  ProxyTarget,
  StorageType,
} from 'aws-cdk-lib/aws-rds';
import type { Construct } from 'constructs';
import type { NewRds } from '../stage-config.ts';
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

export function createRds(scope: Construct, config: NewRds, props: PostgresServerProps): PostgresServer {
  const instance = new DatabaseInstance(scope, 'Instance', {
    ...serverDefaults(scope, props),
    ...size(config),
    ...insights,
    engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_17_9 }),
    instanceIdentifier: identifierOf(scope),
    databaseName: postgresName,
    backupRetention: Duration.days(config.backupRetentionDays),
    preferredBackupWindow: backupWindow,
  });
  instance.node.addDependency(createLogs(scope, 'instance', props.logRetention));
  acknowledgeServer(instance, props);
  if (!config.multiAz) acknowledgeOneZone(instance);
  return { target: ProxyTarget.fromInstance(instance), secret: instance.secret };
}

function size({ instanceType, multiAz, storageGiB, storageMaxGiB }: NewRds) {
  return {
    instanceType: new InstanceType(instanceType),
    multiAz,
    storageType: StorageType.GP3,
    allocatedStorage: storageGiB,
    maxAllocatedStorage: storageMaxGiB,
  };
}

function acknowledgeOneZone(instance: DatabaseInstance): void {
  Validations.of(instance).acknowledge({
    id: 'AwsSolutions-RDS3',
    reason: 'The stage says that it can be without its database while a zone is.',
  });
}
