/** An ElastiCache replication group of Valkey: TLS and one user, replicas in other zones, and no key evicted that must stay. */
import { ArnFormat, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { CfnParameterGroup, CfnReplicationGroup, CfnSubnetGroup } from 'aws-cdk-lib/aws-elasticache';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { NewRedis } from '../stage-config.ts';
import { redisUser } from '../users.ts';
import type { Network, RedisConnection } from './connections.ts';
import { createUsers } from './redis-users.ts';

export type RedisCacheProps = {
  readonly config: NewRedis;
  readonly network: Network;
  readonly keepData: boolean;
  readonly logRetention: RetentionDays;
};

const port = 6379;

export class RedisCache extends Construct {
  readonly connection: RedisConnection;
  readonly groupId: string;

  constructor(scope: Construct, id: string, props: RedisCacheProps) {
    super(scope, id);
    const { userGroupId, password } = createUsers(this, props.config);
    const group = createGroup(this, props, userGroupId);
    acknowledge(group);
    this.groupId = group.ref;
    this.connection = {
      url: urlOf(group, props.config, password),
      replicationGroup: { id: group.ref, arn: arnOf(group) },
    };
  }
}

/**
 * Cluster mode cannot be turned on in place, so a group with shards has a name of its own in the template: CloudFormation
 * makes the new group before it deletes the old one, and the next warm-up fills it.
 */
function createGroup(scope: Construct, props: RedisCacheProps, userGroupId: string): CfnReplicationGroup {
  const { shards } = props.config;
  const group = new CfnReplicationGroup(scope, shards ? 'ShardedGroup' : 'Group', {
    replicationGroupDescription: `${Stack.of(scope).stackName}: cache, lock, limits and totals`,
    ...engine(scope, shards !== undefined),
    ...size(props.config),
    ...placement(scope, props.network),
    ...backups(props.config),
    transitEncryptionEnabled: true,
    transitEncryptionMode: 'required',
    atRestEncryptionEnabled: true,
    userGroupIds: [userGroupId],
    logDeliveryConfigurations: [engineLog(scope, props.logRetention)],
  });
  applyPolicies(group, props);
  return group;
}

/**
 * Entries of the cache expire, and what promises rest on does not: generations, invalidations, limits, ranking, totals. So
 * only keys that expire may be evicted, and of those the ones that nobody used for longest. The lock expires too: its owner
 * notices within five seconds. `volatile-ttl` would evict it, and what was invalidated last, first.
 */
function engine(scope: Construct, hasShards: boolean) {
  const parameters = new CfnParameterGroup(scope, hasShards ? 'ShardedParameters' : 'Parameters', {
    cacheParameterGroupFamily: 'valkey8',
    description: `${Stack.of(scope).stackName}: evicts expiring keys only`,
    properties: { 'maxmemory-policy': 'volatile-lru', ...(hasShards && { 'cluster-enabled': 'yes' }) },
  });
  return {
    engine: 'valkey',
    engineVersion: '8.2',
    cacheParameterGroupName: parameters.ref,
    autoMinorVersionUpgrade: true,
    preferredMaintenanceWindow: 'sun:03:00-sun:04:00',
  };
}

function size({ nodeType, shards, replicas }: NewRedis) {
  return {
    cacheNodeType: nodeType,
    // Without cluster mode the number of nodes can be changed in place, and the number of replicas for each shard cannot.
    ...(shards
      ? { numNodeGroups: shards, replicasPerNodeGroup: replicas }
      : { numCacheClusters: replicas + 1 }),
    automaticFailoverEnabled: true,
    multiAzEnabled: true,
  };
}

function placement(scope: Construct, { vpc, subnetIds, clients }: Network) {
  const description = `${Stack.of(scope).stackName}: Redis`;
  const subnets = new CfnSubnetGroup(scope, 'Subnets', { description, subnetIds: [...subnetIds] });
  const securityGroup = new SecurityGroup(scope, 'Servers', { vpc, description, allowAllOutbound: false });
  securityGroup.addIngressRule(clients, Port.tcp(port), 'The functions');
  return {
    port,
    cacheSubnetGroupName: subnets.ref,
    securityGroupIds: [securityGroup.securityGroupId],
  };
}

/** Snapshots are made of a replica, in an hour in which nothing else is done. */
function backups({ snapshotRetentionDays }: NewRedis) {
  return {
    snapshotRetentionLimit: snapshotRetentionDays,
    ...(snapshotRetentionDays > 0 && { snapshotWindow: '01:00-02:00' }),
  };
}

/** Failovers and what led to them. Not the slow log, whose lines have the commands' arguments: what people searched for. */
function engineLog(scope: Construct, retention: RetentionDays) {
  const logs = new LogGroup(scope, 'EngineLogs', { retention, removalPolicy: RemovalPolicy.DESTROY });
  return {
    logType: 'engine-log',
    logFormat: 'json',
    destinationType: 'cloudwatch-logs',
    destinationDetails: { cloudWatchLogsDetails: { logGroup: logs.logGroupName } },
  };
}

function applyPolicies(group: CfnReplicationGroup, { config, keepData }: RedisCacheProps): void {
  group.applyRemovalPolicy(keepData ? RemovalPolicy.SNAPSHOT : RemovalPolicy.DESTROY);
  // More or fewer shards move slots while the cache serves; without this, CloudFormation makes a new, empty one.
  if (config.shards) group.cfnOptions.updatePolicy = { useOnlineResharding: true };
}

function urlOf(group: CfnReplicationGroup, { shards }: NewRedis, password: string): string {
  const login = `${redisUser.name}:${password}`;
  return shards
    ? `rediss-cluster://${login}@${group.attrConfigurationEndPointAddress}:${port}`
    : `rediss://${login}@${group.attrPrimaryEndPointAddress}:${port}`;
}

function arnOf(group: CfnReplicationGroup): string {
  return Stack.of(group).formatArn({
    service: 'elasticache',
    resource: 'replicationgroup',
    resourceName: group.ref,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
}

function acknowledge(group: CfnReplicationGroup): void {
  Validations.of(group).acknowledge({
    id: 'AwsSolutions-AEC5',
    reason: 'Who may connect is decided by the security group and the password, not by an unusual port.',
  });
  Validations.of(group).acknowledge({
    id: 'AwsSolutions-AEC6',
    reason: 'Its users sign in by their names and passwords, which AUTH alone cannot tell apart.',
  });
}
