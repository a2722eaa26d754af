/** Postgres behind RDS Proxy: functions connect to the proxy by their roles, each as one user, the proxy to the server by passwords. */
import { Aws, CfnOutput, Duration, Fn, Stack } from 'aws-cdk-lib';
import { Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { Grant } from 'aws-cdk-lib/aws-iam';
import { DatabaseProxy } from 'aws-cdk-lib/aws-rds';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { STATEMENT_TIMEOUT_MS } from '../../shared/limits.ts';
import type { NewAurora, NewRds } from '../stage-config.ts';
import { databaseRoles } from '../users.ts';
import type { DatabaseConnection, Network } from './connections.ts';
import { createAurora } from './postgres-aurora.ts';
import { PostgresLogins } from './postgres-logins.ts';
import { createRds } from './postgres-rds.ts';
import {
  createLogGroup,
  identifierOf,
  type PostgresServer,
  type PostgresServerProps,
  postgresName,
  subnetsOf,
} from './postgres-server.ts';

export type PostgresDatabaseProps = PostgresServerProps & { readonly config: NewAurora | NewRds };

const port = 5432;
const userNames = { owner: postgresName, ...databaseRoles };

export class PostgresDatabase extends Construct {
  readonly connection: DatabaseConnection;
  /** The cluster's or the instance's. */
  readonly identifier: string;
  readonly proxyName: string;

  constructor(scope: Construct, id: string, { config, ...props }: PostgresDatabaseProps) {
    super(scope, id);
    const server =
      config.kind === 'aurora' ? createAurora(this, config, props) : createRds(this, config, props);
    this.identifier = identifierOf(this);
    // Other subnets make another proxy, which must not have the name of the one that it replaces.
    this.proxyName = `${this.identifier}-${props.network.subnetIds.length}-zones`;
    const logins = new PostgresLogins(this, 'Logins');
    const proxy = createProxy(this, { ...props, server, logins: logins.secrets, name: this.proxyName });
    this.connection = describe(proxy, logins);
  }
}

type ProxyProps = PostgresServerProps & {
  readonly server: PostgresServer;
  /** Besides the owner's. */
  readonly logins: readonly ISecret[];
  readonly name: string;
};

function createProxy(scope: Construct, props: ProxyProps): DatabaseProxy {
  const { server, logins, name, network, logRetention } = props;
  const { target, secret } = server;
  const proxy = new DatabaseProxy(scope, 'Proxy', {
    dbProxyName: name,
    proxyTarget: target,
    secrets: secret ? [secret, ...logins] : [...logins],
    iamAuth: true,
    requireTLS: true,
    vpc: network.vpc,
    vpcSubnets: subnetsOf(network),
    securityGroups: [createSecurityGroup(scope, network)],
    // On each connection that the proxy opens: it refuses it as a startup parameter, and a SET of the client would keep the
    // connection for that client alone.
    initQuery: `SET statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
    maxConnectionsPercent: 90, // the rest is for people who have to look at what fills the 90
    borrowTimeout: Duration.seconds(1), // by then a function has given up
    idleClientTimeout: Duration.minutes(10), // a container frozen for longer is, as a rule, not thawed again
  });
  // Made before RDS makes it, which would keep it for ever.
  proxy.node.addDependency(createLogGroup(scope, 'ProxyLogs', `/aws/rds/proxy/${name}`, logRetention));
  return proxy;
}

/** The proxy reaches its server by a rule that it adds itself. */
function createSecurityGroup(scope: Construct, { vpc, clients }: Network): SecurityGroup {
  const description = `${Stack.of(scope).stackName}: RDS Proxy`;
  const proxies = new SecurityGroup(scope, 'Proxies', { vpc, description, allowAllOutbound: false });
  proxies.addIngressRule(clients, Port.tcp(port), 'The functions');
  return proxies;
}

function describe(proxy: DatabaseProxy, { passwords }: PostgresLogins): DatabaseConnection {
  // The proxy's certificate is of a public authority, which Node knows: no bundle of RDS' own is needed.
  const urlOf = (user: string) =>
    `postgres://${user}@${proxy.endpoint}:${port}/${postgresName}?sslmode=verify-full`;
  const { owner, reader, warmer } = userNames;
  const userArn = `arn:${Aws.PARTITION}:rds-db:${Aws.REGION}:${Aws.ACCOUNT_ID}:dbuser:${idFromOutside(proxy)}`;
  return {
    urls: { owner: urlOf(owner), reader: urlOf(reader), warmer: urlOf(warmer) },
    isRdsProxy: true,
    logins: passwords,
    grantConnect(grantee, user) {
      const resourceArns = [`${userArn}/${userNames[user]}`];
      Grant.addToPrincipal({ grantee, actions: ['rds-db:connect'], resourceArns });
    },
  };
}

/**
 * As IAM names the proxy: by the last part of its ARN. The construct library would take the ARN apart in the function's
 * stack, but it is not documented that CloudFormation splits what it reads from another stack: so the part is an output of
 * this one.
 */
function idFromOutside(proxy: DatabaseProxy): string {
  const stack = Stack.of(proxy);
  const output = new CfnOutput(proxy, 'ResourceId', { value: Fn.select(6, Fn.split(':', proxy.dbProxyArn)) });
  return Fn.getStackOutput(stack.stackName, stack.resolve(output.logicalId));
}
