/** The stacks of a stage: which there are, and who gets what from whom. */
import type { App, Environment } from 'aws-cdk-lib';
import type {
  Connections,
  DatabaseConnection,
  Issuer,
  Network,
  VpcPlacement,
} from '../constructs/connections.ts';
import { adoptDatabase, adoptRedis } from '../constructs/existing-servers.ts';
import type { ExistingNetwork, PlainServers, StageConfig, VpcServers } from '../stage-config.ts';
import { DataStack } from './data-stack.ts';
import { IdentityStack } from './identity-stack.ts';
import { MonitoringStack } from './monitoring-stack.ts';
import { NetworkStack } from './network-stack.ts';
import { PipelineStack, type PipelineStackProps } from './pipeline-stack.ts';
import { ServiceStack, type ServiceStackProps } from './service-stack.ts';

/** The account of emulators: with the credentials of a real one, the CLI refuses to deploy this machine's addresses. */
const emulator: Environment = { account: '000000000000', region: 'us-east-1' };

/** Whose workflows may deploy a stage. */
export type Github = Pick<PipelineStackProps, 'repository' | 'providerArn'>;

export type Release = Pick<ServiceStackProps, 'releaseId' | 'ignoreRolloutAlarms'> & {
  /** @default - no stack for the workflows' roles, which is deployed by hand, once for each stage */
  readonly github?: Github | undefined;
};

/** Stacks of parts that are new; the service is always there. */
export function createStacks(app: App, config: StageConfig, { github, ...release }: Release): void {
  if (github) new PipelineStack(app, nameOf(config, 'pipeline'), { stage: config.stage, ...github });
  new ServiceStack(app, nameOf(config), {
    config,
    connections: connect(app, config),
    issuer: identify(app, config),
    ...release,
    ...(config.stage === 'local' && { env: emulator }),
  });
}

/** `prewarm-prod`, `prewarm-prod-data`. */
function nameOf({ stage }: StageConfig, part?: string): string {
  return ['prewarm', stage, part].filter((word) => word !== undefined).join('-');
}

function connect(app: App, config: StageConfig): Connections {
  const { servers } = config;
  if (servers.kind === 'vpc') return connectInVpc(app, config, servers);
  return {
    redis: { url: servers.redisUrl },
    database: plainDatabase(servers),
    pushgatewayUrl: servers.pushgatewayUrl,
  };
}

function plainDatabase({ databaseUrl: owner, roleUrls }: PlainServers): DatabaseConnection {
  const urls = { owner, reader: owner, warmer: owner, ...roleUrls };
  return { urls, isRdsProxy: false, logins: roleUrls && loginsOf(Object.values(roleUrls)) };
}

function loginsOf(urls: readonly string[]): Record<string, string> {
  const parsed = urls.map((url) => new URL(url));
  return Object.fromEntries(parsed.map(({ username, password }) => [username, decodeURIComponent(password)]));
}

function connectInVpc(app: App, config: StageConfig, servers: VpcServers): Connections {
  const network = createNetwork(app, config, servers);
  return {
    ...connectData(app, config, servers, network),
    pushgatewayUrl: createMonitoring(app, config, servers, network),
    placement: placementOf(network),
  };
}

function createNetwork(app: App, config: StageConfig, { network }: VpcServers): Network | ExistingNetwork {
  if (network.kind === 'existing') return network;
  return new NetworkStack(app, nameOf(config, 'network'), { ...config, config: network }).network;
}

function connectData(
  app: App,
  config: StageConfig,
  { redis, database, keepData }: VpcServers,
  network: Network | ExistingNetwork,
): Pick<Connections, 'redis' | 'database'> {
  const own = {
    redis: redis.kind === 'new' ? redis : undefined,
    database: database.kind === 'existing' ? undefined : database,
  };
  const data =
    own.redis || own.database
      ? new DataStack(app, nameOf(config, 'data'), { ...config, ...own, network, keepData })
      : undefined;
  return {
    redis: redis.kind === 'existing' ? adoptRedis(redis) : made(data?.redis),
    database: database.kind === 'existing' ? adoptDatabase(database) : made(data?.database),
  };
}

/** A stack makes what it was asked for. */
function made<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new Error('The data stack did not make what the stage asks for');
  return part;
}

/** The Pushgateway's address, where there is one. */
function createMonitoring(
  app: App,
  config: StageConfig,
  { monitoring, keepData }: VpcServers,
  network: Network | ExistingNetwork,
): string | undefined {
  if (monitoring.kind === 'existing') return monitoring.pushgatewayUrl;
  if ('kind' in network) {
    throw new Error(`The stage ${config.stage} has an existing network: new monitoring needs a new one`);
  }
  return new MonitoringStack(app, nameOf(config, 'monitoring'), { ...config, network, keepData })
    .pushgatewayUrl;
}

function placementOf(network: Network | ExistingNetwork): VpcPlacement {
  const { subnetIds } = network;
  const securityGroupId = 'kind' in network ? network.clientSecurityGroupId : network.clients.securityGroupId;
  return { subnetIds, securityGroupId };
}

function identify(app: App, config: StageConfig): Issuer {
  const { identity, servers } = config;
  if (identity.kind === 'existing') {
    return { issuer: identity.issuer, audiences: [identity.audience], jwksUri: identity.jwksUri };
  }
  const keepData = servers.kind === 'vpc' && servers.keepData;
  return new IdentityStack(app, nameOf(config, 'identity'), { ...config, keepData }).issuer;
}
