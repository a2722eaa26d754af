/** What the data stack deploys, of each kind, beside its network and a stack that uses it. The checks of a deployment run on all three. */
import { CfnResource, Stack } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { describe, expect, it } from 'vitest';
import { adoptDatabase, adoptRedis } from '../../infra/constructs/existing-servers.ts';
import { DataStack, type DataStackProps } from '../../infra/stacks/data-stack.ts';
import { NetworkStack } from '../../infra/stacks/network-stack.ts';
import type { ExistingNetwork, NewAurora, NewRds, NewRedis } from '../../infra/stage-config.ts';
import { redisUser } from '../../infra/users.ts';
import { RenderedStacks } from '../support/rendered-stacks.ts';
import { runbookEntries } from '../support/runbook.ts';

const redis: NewRedis = {
  kind: 'new',
  nodeType: 'cache.t4g.small',
  replicas: 2,
  snapshotRetentionDays: 5,
};
const aurora: NewAurora = {
  kind: 'aurora',
  minCapacity: 0.5,
  maxCapacity: 8,
  hasReader: true,
  backupRetentionDays: 14,
};
const rds: NewRds = {
  kind: 'rds',
  instanceType: 't4g.medium',
  multiAz: true,
  storageGiB: 20,
  storageMaxGiB: 60,
  backupRetentionDays: 7,
};
const existingNetwork: ExistingNetwork = {
  kind: 'existing',
  vpcId: 'vpc-0123456789abcdef0',
  subnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
  availabilityZones: ['eu-central-1a', 'eu-central-1b'],
  clientSecurityGroupId: 'sg-0123456789abcdef0',
};

type Asked = Partial<Omit<DataStackProps, 'network'>> & { readonly network?: ExistingNetwork };

function synthesise(asked: Asked) {
  const made: { network?: NetworkStack; data?: DataStack; service?: Stack } = {};
  const common = { stage: 'test', logRetentionDays: 30 } as const;
  const rendered = new RenderedStacks((app) => {
    const config = { kind: 'new', zones: 3, cidr: '10.20.0.0/16' } as const;
    made.network = new NetworkStack(app, 'prewarm-test-network', { ...common, config });
    const { network } = made.network;
    made.data = new DataStack(app, 'prewarm-test-data', { ...common, network, keepData: true, ...asked });
    made.service = new Stack(app, 'prewarm-test');
    use(made.service, made.data);
  });
  const { network, data, service } = made as Required<typeof made>;
  const of = (type: string) => rendered.resources(data, type);
  const only = (type: string) => rendered.resource(data, type);
  return { rendered, network, data, service, of, only };
}

/** As the service does: addresses in the environment, the grant in a function's role. */
function use(service: Stack, { redis, database }: DataStack): void {
  for (const user of ['owner', 'reader', 'warmer'] as const) {
    const role = new Role(service, user, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    database?.grantConnect?.(role, user);
  }
  const properties = {
    Redis: redis?.url,
    ReplicationGroup: redis?.replicationGroup,
    Database: database?.urls,
    Logins: database?.logins,
  };
  new CfnResource(service, 'User', { type: 'Prewarm::Test::User', properties });
}

function usedBy({ rendered, service }: ReturnType<typeof synthesise>) {
  return rendered.resource(service, 'Prewarm::Test::User').Properties;
}

const group = 'AWS::ElastiCache::ReplicationGroup';
const whole = synthesise({ redis, database: aurora });
const withRds = synthesise({ database: rds });
const sharded = synthesise({ redis: { ...redis, shards: 3 } });
const disposable = synthesise({ redis, database: { ...rds, multiAz: false }, keepData: false });
const disposableAurora = synthesise({ database: { ...aurora, hasReader: false }, keepData: false });

describe('the data stack', () => {
  it('has only what it was asked for', () => {
    expect(withRds.data.redis).toBeUndefined();
    expect(withRds.of(group)).toEqual({});
    expect(sharded.data.database).toBeUndefined();
    expect(sharded.of('AWS::RDS::DBProxy')).toEqual({});
  });

  it('opens to the functions Redis and the proxy, to the proxy Postgres, and nothing else to anybody', () => {
    expect(whole.rendered.openings(whole.data)).toEqual([
      'NetworkClients → PostgresProxies:5432',
      'NetworkClients → RedisServers:6379',
      'PostgresProxies → PostgresServers:PostgresCluster.Endpoint.Port',
    ]);
    expect(withRds.rendered.openings(withRds.data)).toEqual([
      'NetworkClients → PostgresProxies:5432',
      'PostgresProxies → PostgresServers:PostgresInstance.Endpoint.Port',
    ]);
  });

  it('lets nothing out but the proxy to Postgres', () => {
    const rules = Object.values(whole.of('AWS::EC2::SecurityGroupEgress')).map(
      ({ Properties }) => Properties,
    );
    const inline = Object.values(whole.of('AWS::EC2::SecurityGroup')).flatMap(
      ({ Properties }) => Properties['SecurityGroupEgress'] ?? [],
    );

    expect(rules).toMatchObject([
      { GroupId: 'PostgresProxies.GroupId', DestinationSecurityGroupId: 'PostgresServers.GroupId' },
    ]);
    // The construct library's way to say “nothing”: to one address, of no machine.
    expect(new Set(inline.map(({ CidrIp }) => CidrIp))).toEqual(new Set(['255.255.255.255/32']));
  });

  it('adds no rule to the network’s stack, which would need the data stack then', () => {
    expect(whole.network.dependencies).toEqual([]);
    expect(whole.data.dependencies).toEqual([whole.network]);
  });

  it('puts all servers into the isolated subnets', () => {
    const isolated = ['1', '2', '3'].map((zone) => `NetworkVpcIsolatedSubnet${zone}Subnet`);

    expect(whole.only('AWS::ElastiCache::SubnetGroup').Properties['SubnetIds']).toEqual(isolated);
    expect(whole.only('AWS::RDS::DBSubnetGroup').Properties['SubnetIds']).toEqual(isolated);
    expect(whole.only('AWS::RDS::DBProxy').Properties['VpcSubnetIds']).toEqual(isolated);
    expect(withRds.only('AWS::RDS::DBSubnetGroup').Properties['SubnetIds']).toEqual(isolated);
  });

  it('cannot be deleted by mistake where data is kept', () => {
    expect(whole.data.terminationProtection).toBe(true);
    expect(disposable.data.terminationProtection).toBe(false);
  });

  it('has no secret in any template', () => {
    for (const { rendered, data, service } of [whole, withRds, sharded]) {
      const text = rendered.text(data) + rendered.text(service);
      expect(text).not.toMatch(/"(MasterUserPassword|SecretString)":/);
      expect(text).not.toMatch(/postgres:\/\/[^"@]*:[^"@]*@/);
    }
    for (const { Properties } of Object.values(whole.of('AWS::ElastiCache::User')))
      expect(Properties['Passwords']).toEqual(['{{resolve:secretsmanager:RedisPassword1:SecretString:::}}']);
  });

  it('needs no function of its own, and keeps logs for as long as the stage says', () => {
    for (const { of } of [whole, withRds]) {
      const logs = Object.values(of('AWS::Logs::LogGroup'));
      expect(of('AWS::Lambda::Function')).toEqual({});
      expect(logs.length).toBeGreaterThan(0);
      expect(logs.every(({ Properties }) => Properties['RetentionInDays'] === 30)).toBe(true);
    }
  });
});

describe('Redis', () => {
  it('is Valkey behind TLS and users with passwords, encrypted on its disks, with a replica to fail over to', () => {
    expect(whole.only(group).Properties).toMatchObject({
      Engine: 'valkey',
      TransitEncryptionEnabled: true,
      TransitEncryptionMode: 'required',
      AtRestEncryptionEnabled: true,
      AutomaticFailoverEnabled: true,
      MultiAZEnabled: true,
      AutoMinorVersionUpgrade: true,
      CacheNodeType: 'cache.t4g.small',
      NumCacheClusters: 3,
      Port: 6379,
    });
    // With these, another number of replicas would be another, empty group.
    expect(whole.only(group).Properties).not.toHaveProperty('ReplicasPerNodeGroup');
  });

  it('lets in the functions’ user, who may do what it may on this machine, and nobody by default', () => {
    expect(whole.only(group).Properties).toMatchObject({ UserGroupIds: ['RedisUserGroup'] });
    expect(whole.only(group).Properties).not.toHaveProperty('AuthToken');
    expect(whole.only('AWS::ElastiCache::UserGroup').Properties).toEqual({
      Engine: 'valkey',
      UserGroupId: 'prewarm-test-data',
      UserIds: ['RedisFunctionsUser', 'RedisDefaultUser'],
    });
    expect(whole.of('AWS::ElastiCache::User')).toMatchObject({
      RedisFunctionsUser: {
        Properties: { Engine: 'valkey', UserName: 'prewarm', AccessString: `on ${redisUser.access}` },
      },
      RedisDefaultUser: {
        Properties: { Engine: 'valkey', UserName: 'default', AccessString: 'off -@all' },
      },
    });
  });

  it('has a password that it accepts and that a URL can hold', () => {
    const { GenerateSecretString } = sharded.only('AWS::SecretsManager::Secret').Properties;

    expect(GenerateSecretString.ExcludePunctuation).toBe(true);
    expect(GenerateSecretString.PasswordLength).toBeGreaterThanOrEqual(16);
    expect(GenerateSecretString.PasswordLength).toBeLessThanOrEqual(128);
  });

  it('gets another password by its number beside the one before, under an output whose name stays', () => {
    const [one, other] = [1, 2].map((passwordNumber) =>
      synthesise({ redis: { ...redis, passwordNumber } }),
    ) as [typeof whole, typeof whole];
    const read = (synthesised: typeof whole) => synthesised.rendered.text(synthesised.service);

    const passwords = ['RedisPassword2', 'RedisPassword1'];
    expect(Object.keys(other.of('AWS::SecretsManager::Secret'))).toEqual(passwords);
    expect(other.of('AWS::ElastiCache::User')['RedisFunctionsUser']?.Properties['Passwords']).toEqual(
      passwords.map((secret) => `{{resolve:secretsmanager:${secret}:SecretString:::}}`),
    );
    expect(usedBy(other)['Redis']).toContain('{{resolve:secretsmanager:RedisPassword2:SecretString:::}}');
    expect(read(other)).toBe(read(one)); // what changes is what the output holds
    const third = synthesise({ redis: { ...redis, passwordNumber: 3 } });
    expect(Object.keys(third.of('AWS::SecretsManager::Secret'))).toEqual([
      'RedisPassword3',
      'RedisPassword2',
    ]);
  });

  it('evicts only keys that expire, those first that nobody used for longest', () => {
    const parameters = { CacheParameterGroupFamily: 'valkey8' };

    expect(whole.only('AWS::ElastiCache::ParameterGroup').Properties).toMatchObject({
      ...parameters,
      Properties: { 'maxmemory-policy': 'volatile-lru' },
    });
    expect(sharded.only('AWS::ElastiCache::ParameterGroup').Properties).toMatchObject({
      ...parameters,
      Properties: { 'maxmemory-policy': 'volatile-lru', 'cluster-enabled': 'yes' },
    });
  });

  it('tells the service its address, and the name and ARN for its status', () => {
    expect(usedBy(whole)).toMatchObject({
      Redis:
        'rediss://prewarm:{{resolve:secretsmanager:RedisPassword1:SecretString:::}}@RedisGroup.PrimaryEndPoint.Address:6379',
      ReplicationGroup: {
        id: 'RedisGroup',
        arn: 'arn:aws:elasticache:eu-central-1:111122223333:replicationgroup:RedisGroup',
      },
    });
  });

  it('with shards is a cluster, addressed as one, whose shards are moved while it serves', () => {
    const { Properties, UpdatePolicy } = sharded.only(group);

    expect(Properties).toMatchObject({ NumNodeGroups: 3, ReplicasPerNodeGroup: 2 });
    expect(UpdatePolicy).toEqual({ UseOnlineResharding: true });
    expect(usedBy(sharded)['Redis']).toBe(
      'rediss-cluster://prewarm:{{resolve:secretsmanager:RedisPassword1:SecretString:::}}@RedisShardedGroup.ConfigurationEndPoint.Address:6379',
    );
  });

  it('is another resource with shards than without, because cluster mode cannot be turned on in place', () => {
    for (const type of [group, 'AWS::ElastiCache::ParameterGroup']) {
      expect(Object.keys(sharded.of(type))).not.toEqual(Object.keys(whole.of(type)));
    }
  });

  it('makes snapshots where it should, before its maintenance', () => {
    const without = synthesise({ redis: { ...redis, snapshotRetentionDays: 0 } }).only(group).Properties;

    expect(whole.only(group).Properties).toMatchObject({
      SnapshotRetentionLimit: 5,
      SnapshotWindow: '01:00-02:00',
      PreferredMaintenanceWindow: 'sun:03:00-sun:04:00',
    });
    expect(without['SnapshotRetentionLimit']).toBe(0);
    expect(without).not.toHaveProperty('SnapshotWindow');
  });

  it('logs what its engine does, and never the commands, which say what people searched for', () => {
    expect(whole.only(group).Properties['LogDeliveryConfigurations']).toEqual([
      {
        LogType: 'engine-log',
        LogFormat: 'json',
        DestinationType: 'cloudwatch-logs',
        DestinationDetails: { CloudWatchLogsDetails: { LogGroup: 'RedisEngineLogs' } },
      },
    ]);
  });

  it.each([
    ['leaves a snapshot where data is kept', whole, 'Snapshot'],
    ['goes with its stack where data is not kept', disposable, 'Delete'],
  ])('%s', (_, { only }, policy) => {
    expect(only(group)).toMatchObject({ DeletionPolicy: policy, UpdateReplacePolicy: policy });
  });
});

describe.each([
  ['Aurora', whole, 'AWS::RDS::DBCluster', 'AWS::RDS::DBClusterParameterGroup', 'cluster', 14],
  ['RDS', withRds, 'AWS::RDS::DBInstance', 'AWS::RDS::DBParameterGroup', 'instance', 7],
] as const)('%s', (_, { only }, type, parametersType, kind, days) => {
  it('is encrypted, backed up, protected, and upgraded by itself', () => {
    expect(only(type)).toMatchObject({
      DeletionPolicy: 'Snapshot',
      UpdateReplacePolicy: 'Snapshot',
      Properties: {
        StorageEncrypted: true,
        BackupRetentionPeriod: days,
        DeletionProtection: true,
        DeleteAutomatedBackups: false,
        CopyTagsToSnapshot: true,
        AutoMinorVersionUpgrade: true,
        PreferredBackupWindow: '01:00-02:00',
        PreferredMaintenanceWindow: 'sun:02:00-sun:03:00',
      },
    });
  });

  it('takes TLS only', () => {
    expect(only(parametersType).Properties['Parameters']).toEqual({ 'rds.force_ssl': '1' });
  });

  it('has an owner, whose password RDS makes and replaces', () => {
    const { Properties } = only(type);

    expect(Properties).toMatchObject({ MasterUsername: 'prewarm', ManageMasterUserPassword: true });
    expect(Properties).not.toHaveProperty('MasterUserPassword');
    expect(Properties['DatabaseName'] ?? Properties['DBName']).toBe('prewarm');
  });

  it('logs to a group that is there before RDS would make one that never forgets', () => {
    const { Properties, DependsOn } = only(type);

    expect(Properties['EnableCloudwatchLogsExports']).toEqual(['postgresql']);
    expect(Properties['DBClusterIdentifier'] ?? Properties['DBInstanceIdentifier']).toBe('prewarm-test-data');
    expect(logGroupNames(kind)).toContain(`/aws/rds/${kind}/prewarm-test-data/postgresql`);
    expect(DependsOn).toContainEqual(expect.stringMatching(/^PostgresLogs/));
  });

  it('is reached by the functions through a proxy, over TLS, by their roles', () => {
    const { Properties } = only('AWS::RDS::DBProxy');

    expect(Properties).toMatchObject({
      EngineFamily: 'POSTGRESQL',
      RequireTLS: true,
      IdleClientTimeout: 600,
      RoleArn: 'PostgresProxyIAMRole.Arn',
      VpcSecurityGroupIds: ['PostgresProxies.GroupId'],
      Auth: [1, 2, 3].map(() => ({ AuthScheme: 'SECRETS', IAMAuth: 'REQUIRED' })),
    });
  });

  it('bounds statements and the wait for a connection in the proxy', () => {
    expect(only('AWS::RDS::DBProxyTargetGroup').Properties).toMatchObject({
      TargetGroupName: 'default',
      ConnectionPoolConfigurationInfo: {
        InitQuery: 'SET statement_timeout = 2000',
        ConnectionBorrowTimeout: 1,
        MaxConnectionsPercent: 90,
      },
    });
  });

  it('gives the proxy its users’ secrets, and nothing else', () => {
    const secrets = [
      `Postgres${kind === 'cluster' ? 'Cluster' : 'Instance'}.MasterUserSecret.SecretArn`,
      'PostgresLoginsReader',
      'PostgresLoginsWarmer',
    ];

    const auth: { SecretArn: string }[] = only('AWS::RDS::DBProxy').Properties['Auth'];
    expect(auth.map(({ SecretArn }) => SecretArn)).toEqual(secrets);
    expect(only('AWS::IAM::Policy').Properties).toMatchObject({
      Roles: ['PostgresProxyIAMRole'],
      PolicyDocument: {
        Statement: [
          { Action: ['secretsmanager:DescribeSecret', 'secretsmanager:GetSecretValue'], Resource: secrets },
        ],
      },
    });
  });
});

function logGroupNames(kind: 'cluster' | 'instance'): string[] {
  const { of } = kind === 'cluster' ? whole : withRds;
  return Object.values(of('AWS::Logs::LogGroup')).map(({ Properties }) => Properties['LogGroupName']);
}

describe('Aurora', () => {
  it('is serverless within the stage’s bounds, with a reader to fail over to', () => {
    const instances = Object.values(whole.of('AWS::RDS::DBInstance')).map(({ Properties }) => Properties);

    expect(whole.only('AWS::RDS::DBCluster').Properties).toMatchObject({
      Engine: 'aurora-postgresql',
      ServerlessV2ScalingConfiguration: { MinCapacity: 0.5, MaxCapacity: 8 },
    });
    expect(instances).toHaveLength(2);
    for (const instance of instances) {
      expect(instance).toMatchObject({ DBInstanceClass: 'db.serverless', PubliclyAccessible: false });
    }
    // As large as the writer at any time, or a failover would meet a cold one.
    expect(instances.map(({ PromotionTier }) => PromotionTier)).toEqual([0, 1]);
  });

  it('goes with its stack where data is not kept, and has no reader where none was asked for', () => {
    expect(disposableAurora.only('AWS::RDS::DBCluster')).toMatchObject({
      DeletionPolicy: 'Delete',
      Properties: { DeletionProtection: false, DeleteAutomatedBackups: true },
    });
    expect(Object.keys(disposableAurora.of('AWS::RDS::DBInstance'))).toEqual(['PostgresClusterWriter']);
  });
});

describe('RDS for PostgreSQL', () => {
  it('is of the stage’s size, with a standby in another zone', () => {
    expect(withRds.only('AWS::RDS::DBInstance').Properties).toMatchObject({
      Engine: 'postgres',
      DBInstanceClass: 'db.t4g.medium',
      MultiAZ: true,
      AllocatedStorage: '20',
      MaxAllocatedStorage: 60,
      StorageType: 'gp3',
      PubliclyAccessible: false,
    });
  });

  it('goes with its stack where data is not kept, and has no standby where none was asked for', () => {
    expect(disposable.only('AWS::RDS::DBInstance')).toMatchObject({
      DeletionPolicy: 'Delete',
      Properties: { DeletionProtection: false, DeleteAutomatedBackups: true, MultiAZ: false },
    });
  });
});

describe('a function’s role', () => {
  it.each([
    ['owner', 'prewarm'],
    ['reader', 'prewarm_reader'],
    ['warmer', 'prewarm_warmer'],
  ])('may connect to this proxy as the %s, and as nobody else and to no other', (user, name) => {
    const policies = Object.values(whole.rendered.resources(whole.service, 'AWS::IAM::Policy'));
    const own = policies.find(({ Properties }) => Properties['Roles'][0] === user);
    // The last part of the proxy's ARN.
    const proxy = 'PostgresProxy.DBProxyArn[6]';

    expect(own?.Properties['PolicyDocument'].Statement).toEqual([
      {
        Effect: 'Allow',
        Action: 'rds-db:connect',
        Resource: `arn:aws:rds-db:eu-central-1:111122223333:dbuser:${proxy}/${name}`,
      },
    ]);
  });

  it('needs no password: the addresses have none, and the proxy’s certificate is checked', () => {
    const addressOf = (name: string) =>
      `postgres://${name}@PostgresProxy.Endpoint:5432/prewarm?sslmode=verify-full`;
    const addresses = {
      owner: addressOf('prewarm'),
      reader: addressOf('prewarm_reader'),
      warmer: addressOf('prewarm_warmer'),
    };

    expect(usedBy(whole)['Database']).toEqual(addresses);
    expect(usedBy(withRds)['Database']).toEqual(addresses);
    expect(whole.data.database?.isRdsProxy).toBe(true);
  });

  it('of the migrations sets the passwords that the proxy signs in with', () => {
    const passwordOf = (secret: string) => `{{resolve:secretsmanager:${secret}:SecretString:password::}}`;
    const { GenerateSecretString } =
      whole.of('AWS::SecretsManager::Secret')['PostgresLoginsReader']?.Properties ?? {};

    expect(usedBy(whole)['Logins']).toEqual({
      prewarm_reader: passwordOf('PostgresLoginsReader'),
      prewarm_warmer: passwordOf('PostgresLoginsWarmer'),
    });
    expect(GenerateSecretString).toMatchObject({
      SecretStringTemplate: '{"username":"prewarm_reader"}',
      GenerateStringKey: 'password',
      ExcludePunctuation: true,
    });
  });
});

describe('in a network that is there already', () => {
  const adopted = synthesise({ network: existingNetwork, redis, database: rds });

  it('the servers are in its subnets and let in its functions, and nothing of it is changed', () => {
    expect(adopted.only('AWS::ElastiCache::SubnetGroup').Properties['SubnetIds']).toEqual([
      'subnet-0123456789abcdef0',
      'subnet-0123456789abcdef1',
    ]);
    expect(adopted.rendered.openings(adopted.data)).toEqual([
      'PostgresProxies → PostgresServers:PostgresInstance.Endpoint.Port',
      'sg-0123456789abcdef0 → PostgresProxies:5432',
      'sg-0123456789abcdef0 → RedisServers:6379',
    ]);
    const groups = Object.values(adopted.of('AWS::EC2::SecurityGroup'));
    expect(groups.map(({ Properties }) => Properties['VpcId'])).toEqual([
      'vpc-0123456789abcdef0',
      'vpc-0123456789abcdef0',
      'vpc-0123456789abcdef0',
    ]);
  });
});

describe('servers that are there already', () => {
  it('are reached by addresses that CloudFormation reads from a secret', () => {
    const redis = adoptRedis({ kind: 'existing', secretName: 'shop/redis' });
    const database = adoptDatabase({ kind: 'existing', secretName: 'shop/postgres', isRdsProxy: true });
    const databaseUrl = '{{resolve:secretsmanager:shop/postgres:SecretString:databaseUrl::}}';

    expect(new Stack().resolve({ redis, database })).toEqual({
      redis: { url: '{{resolve:secretsmanager:shop/redis:SecretString:redisUrl::}}' },
      database: {
        urls: { owner: databaseUrl, reader: databaseUrl, warmer: databaseUrl },
        isRdsProxy: true,
      },
    });
  });

  it('have a secret for each user where the stage names them, and keep the passwords that they have', () => {
    const { urls, logins } = adoptDatabase({
      kind: 'existing',
      secretName: 'shop/owner',
      readerSecretName: 'shop/reader',
      warmerSecretName: 'shop/warmer',
      isRdsProxy: true,
    });
    const urlIn = (secret: string) => `{{resolve:secretsmanager:${secret}:SecretString:databaseUrl::}}`;

    expect(new Stack().resolve(urls)).toEqual({
      owner: urlIn('shop/owner'),
      reader: urlIn('shop/reader'),
      warmer: urlIn('shop/warmer'),
    });
    expect(logins).toBeUndefined();
  });
});

describe('an alarm', () => {
  type Seen = { readonly Dimensions: unknown; readonly MetricName: string };
  const alarmsOf = (asked: Asked) => {
    const found = Object.values(synthesise(asked).of('AWS::CloudWatch::Alarm'));
    return Object.fromEntries(
      found.map(({ Properties }) => [Properties['AlarmDescription'].split('#')[1], Properties as Seen]),
    );
  };

  it('goes off for what each kind of server runs out of', () => {
    expect(Object.keys(alarmsOf({ redis, database: aurora })).sort()).toEqual([
      'connectionspinned',
      'databasebusy',
      'redisnearlyfull',
    ]);
    expect(Object.keys(alarmsOf({ database: rds })).sort()).toEqual([
      'connectionspinned',
      'databasebusy',
      'databasenearlyfull',
    ]);
  });

  it('looks at the server by the name that it has', () => {
    const { databasebusy, redisnearlyfull } = alarmsOf({ redis, database: aurora });
    expect(databasebusy).toMatchObject({
      MetricName: 'ACUUtilization',
      Dimensions: [{ Name: 'DBClusterIdentifier', Value: 'prewarm-test-data' }],
    });
    expect(JSON.stringify(redisnearlyfull?.Dimensions)).toContain('-001');
    const sharded = alarmsOf({ redis: { ...redis, shards: 3 } })['redisnearlyfull'];
    expect(JSON.stringify(sharded?.Dimensions)).toContain('-0001-001');
  });

  it('has an entry in the runbook, under its own name', () => {
    const entries = runbookEntries();
    const names = [
      ...Object.keys(alarmsOf({ redis, database: aurora })),
      ...Object.keys(alarmsOf({ database: rds })),
    ];
    for (const name of names) expect(entries).toContain(name);
  });
});
