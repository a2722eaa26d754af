/** What Aurora and RDS for PostgreSQL have in common: user, encryption, forced TLS, logs, protection, hours of work. */
import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { SecurityGroup, SubnetFilter, type SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Credentials, type ProxyTarget } from 'aws-cdk-lib/aws-rds';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { Network } from './connections.ts';

export type PostgresServerProps = {
  readonly network: Network;
  readonly keepData: boolean;
  readonly logRetention: RetentionDays;
};

/** What a proxy must know of a server. */
export type PostgresServer = { readonly target: ProxyTarget; readonly secret: ISecret | undefined };

/** Of the database and of its owner. */
export const postgresName = 'prewarm';

/** Of the last seven days, which costs nothing. */
export const insights = { enablePerformanceInsights: true };

/** In the same hour as the snapshots of Redis; minor versions are installed after them. */
export const backupWindow = '01:00-02:00';

export function serverDefaults(scope: Construct, { network, keepData }: PostgresServerProps) {
  return {
    vpc: network.vpc,
    vpcSubnets: subnetsOf(network),
    securityGroups: [createSecurityGroup(scope, network)],
    // RDS makes the password, keeps it in Secrets Manager and replaces it every seven days.
    credentials: Credentials.fromUsername(postgresName),
    manageMasterUserPassword: true,
    iamAuthentication: true,
    parameters: { 'rds.force_ssl': '1' },
    storageEncrypted: true,
    copyTagsToSnapshot: true,
    deletionProtection: keepData,
    deleteAutomatedBackups: !keepData,
    removalPolicy: keepData ? RemovalPolicy.SNAPSHOT : RemovalPolicy.DESTROY,
    autoMinorVersionUpgrade: true,
    preferredMaintenanceWindow: 'sun:02:00-sun:03:00',
    cloudwatchLogsExports: ['postgresql'],
  };
}

export function subnetsOf({ subnetIds }: Network): SubnetSelection {
  return { subnetFilters: [SubnetFilter.byIds([...subnetIds])] };
}

/**
 * By its own name, for two reasons: the log group can be made first, with a retention, where RDS would make one that never
 * forgets; and CloudFormation cannot replace a server whose name is taken, which would be an empty database in its place.
 */
export function identifierOf(scope: Construct): string {
  return Stack.of(scope).stackName.toLowerCase();
}

export function createLogs(
  scope: Construct,
  kind: 'cluster' | 'instance',
  retention: RetentionDays,
): LogGroup {
  return createLogGroup(scope, 'Logs', `/aws/rds/${kind}/${identifierOf(scope)}/postgresql`, retention);
}

/** Of the name to which RDS writes. */
export function createLogGroup(
  scope: Construct,
  id: string,
  logGroupName: string,
  retention: RetentionDays,
): LogGroup {
  return new LogGroup(scope, id, { logGroupName, retention, removalPolicy: RemovalPolicy.DESTROY });
}

export function acknowledgeServer(server: Construct, { keepData }: PostgresServerProps): void {
  Validations.of(server).acknowledge({
    id: 'AwsSolutions-RDS11',
    reason: 'Nobody but the proxy may connect, whichever the port.',
  });
  if (keepData) return;
  Validations.of(server).acknowledge({
    id: 'AwsSolutions-RDS10',
    reason: 'The stage says that its data goes with its stack.',
  });
}

/** Empty: the proxy adds itself. */
function createSecurityGroup(scope: Construct, { vpc }: Network): SecurityGroup {
  const description = `${Stack.of(scope).stackName}: Postgres`;
  return new SecurityGroup(scope, 'Servers', { vpc, description, allowAllOutbound: false });
}
