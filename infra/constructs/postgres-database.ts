/** Postgres behind RDS Proxy: functions connect to the proxy by their roles, the proxy to the server by its password. */
import { Aws, CfnOutput, Duration, Fn, Stack } from 'aws-cdk-lib';
import { Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { Grant } from 'aws-cdk-lib/aws-iam';
import { DatabaseProxy } from 'aws-cdk-lib/aws-rds';
import { Construct } from 'constructs';
import { STATEMENT_TIMEOUT_MS } from '../../shared/limits.ts';
import type { NewAurora, NewRds } from '../stage-config.ts';
import type { DatabaseConnection, Network } from './connections.ts';
import { createAurora } from './postgres-aurora.ts';
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
    const proxy = createProxy(this, { ...props, server, name: this.proxyName });
    const resourceArns = [userArnOf(proxy)];
    this.connection = {
      // The proxy's certificate is of a public authority, which Node knows: no bundle of RDS' own is needed.
      url: `postgres://${postgresName}@${proxy.endpoint}:${port}/${postgresName}?sslmode=verify-full`,
      isRdsProxy: true,
      grantConnect: (grantee) => Grant.addToPrincipal({ grantee, actions: ['rds-db:connect'], resourceArns }),
    };
  }
}

type ProxyProps = PostgresServerProps & { readonly server: PostgresServer; readonly name: string };

function createProxy(scope: Construct, { server, name, network, logRetention }: ProxyProps): DatabaseProxy {
  const { target, secret } = server;
  const proxy = new DatabaseProxy(scope, 'Proxy', {
    dbProxyName: name,
    proxyTarget: target,
    secrets: secret ? [secret] : [],
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

/**
 * This user of this proxy, as IAM names it: by the last part of the proxy's ARN. The construct library would take the ARN
 * apart in the function's stack, but it is not documented that CloudFormation splits what it reads from another stack: so
 * the part is an output of this one.
 */
function userArnOf(proxy: DatabaseProxy): string {
  const stack = Stack.of(proxy);
  const output = new CfnOutput(proxy, 'ResourceId', { value: Fn.select(6, Fn.split(':', proxy.dbProxyArn)) });
  const proxyId = Fn.getStackOutput(stack.stackName, stack.resolve(output.logicalId));
  return `arn:${Aws.PARTITION}:rds-db:${Aws.REGION}:${Aws.ACCOUNT_ID}:dbuser:${proxyId}/${postgresName}`;
}
