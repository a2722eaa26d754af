/** The service: API, functions, schedule, migrations and deployment hook. It composes constructs and owns no resource's details. */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { type HttpMethod, type Route, routes } from '../../shared/routes.ts';
import { Alarms } from '../constructs/alarms.ts';
import type { Connections, Issuer, ReplicationGroup } from '../constructs/connections.ts';
import { DeploymentHook } from '../constructs/deployment-hook.ts';
import { LiveAlias, Rollouts } from '../constructs/live-alias.ts';
import { Migrations } from '../constructs/migrations.ts';
import { NodeFunction, type NodeFunctionProps } from '../constructs/node-function.ts';
import { RestApi, type RouteTarget } from '../constructs/rest-api.ts';
import { deriveKeys, UsagePlans, type UsagePlansProps } from '../constructs/usage-plans.ts';
import { Warmer } from '../constructs/warmer.ts';
import { WarmingSchedule } from '../constructs/warming-schedule.ts';
import type { FunctionFolder, FunctionName, StageConfig, Throttle } from '../stage-config.ts';
import type { DatabaseUser } from '../users.ts';
import { alarmOnApi, alarmOnIssuer, alarmOnWarming } from './service-alarms.ts';
import {
  issuerEnvironment,
  migrationEnvironment,
  serverEnvironment,
  usageKeysEnvironment,
} from './service-environment.ts';

export type ServiceStackProps = Pick<StackProps, 'env'> & {
  readonly config: StageConfig;
  readonly connections: Connections;
  readonly issuer: Issuer;
  /** Must differ at every synthesis: a new one makes the deployment hook run. */
  readonly releaseId: string;
  /** Whether a rollout goes on while alarms are on, as the one that ends them must. @default false */
  readonly ignoreRolloutAlarms?: boolean | undefined;
  /** @default - functions/ of this project */
  readonly functionsDir?: string;
  /** @default - shared/postgres/migrations of this project */
  readonly migrationsDir?: string;
};

/** What differs between the functions, besides their folder. */
type OwnProps = Pick<NodeFunctionProps, 'environment' | 'placement' | 'carry'>;

/** What answers a route: a function, or the alias under which its traffic moves to new code. */
type ApiTargets = Readonly<Record<Route['answeredBy'], RouteTarget>>;

type ApiParts = {
  readonly read: NodeFunction;
  readonly search: NodeFunction;
  readonly admin: NodeFunction;
  readonly hook: DeploymentHook;
  readonly alarms: Alarms;
};

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

export class ServiceStack extends Stack {
  readonly #props: ServiceStackProps & { readonly functionsDir: string; readonly migrationsDir: string };

  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, {
      ...(props.env && { env: props.env }),
      description: `Prewarm (${props.config.stage}): the API and its warmer`,
    });
    this.#props = {
      functionsDir: `${projectDir}functions`,
      migrationsDir: `${projectDir}shared/postgres/migrations`,
      ...props,
    };
    this.#compose();
  }

  #compose(): void {
    const { config } = this.#props;
    const alarms = new Alarms(this, 'Alarms', { emails: config.alarmEmails });
    const migrations = this.#createMigrations();
    const warmer = this.#createWarmer(migrations);
    const hook = this.#createHook(warmer, migrations);
    const read = this.#createDataFunction('Read', 'read', migrations);
    const search = this.#createDataFunction('Search', 'read', migrations, 'search');
    const admin = this.#createAdmin(warmer, migrations);

    const live = this.#rollOut({ read, search, admin, hook, alarms });
    this.#createApi(live, alarms);
    const { warmEveryMinutes: everyMinutes } = config;
    new WarmingSchedule(this, 'WarmingSchedule', { warmer, everyMinutes });
    alarmOnWarming(alarms, { warmer, hook: hook.handler, everyMinutes });
    new CfnOutput(this, 'WarmupTraceId', { value: hook.traceId });
  }

  #createMigrations(): Migrations {
    const { migrationsDir, connections, config } = this.#props;
    const handler = this.#createFunction('Migrate', 'migrate', {
      environment: migrationEnvironment(connections),
      placement: connections.placement,
      carry: { from: migrationsDir, as: 'migrations' },
    });
    connections.database.grantConnect?.(handler, 'owner');
    const { secretsRevision } = config;
    return new Migrations(this, 'Migrations', { handler, migrationsDir, secretsRevision });
  }

  #createWarmer(migrations: Migrations): Warmer {
    const { grantConnect } = this.#props.connections.database;
    const warmer = new Warmer(this, 'Warmer', this.#dataFunctionProps('warmer', 'warmer'));
    grantConnect?.(warmer.function, 'warmer');
    warmer.function.node.addDependency(migrations);
    return warmer;
  }

  /** After the migrations and with the new warmer, whose data may have a new form. */
  #createHook(warmer: Warmer, migrations: Migrations): DeploymentHook {
    const handler = this.#createFunction('DeploymentHookFunction', 'deployment-hook', {
      environment: { WAIT_FOR_WARM_UP_MS: String(this.#props.config.waitForWarmUpMs) },
    });
    warmer.grantStart(handler);
    const { releaseId } = this.#props;
    return new DeploymentHook(this, 'DeploymentHook', { handler, releaseId, after: [migrations, warmer] });
  }

  /** New code gets its first request after the hook has waited for the warm-up: what it will look for is there. */
  #rollOut({ read, search, admin, hook, alarms }: ApiParts): ApiTargets {
    const { rollout, functions } = this.#props.config;
    const failures = alarmOnApi(alarms, this.stackName, { reader: read, searcher: search });
    if (rollout === undefined) {
      for (const target of [read, search, admin]) target.node.addDependency(hook);
      return { read, search, admin };
    }
    const readLive = new LiveAlias(this, 'ReadLive', { function: read, ...functions.read });
    const searchLive = new LiveAlias(this, 'SearchLive', { function: search, ...functions.search });
    const adminLive = new LiveAlias(this, 'AdminLive', { function: admin, ...functions.admin });
    const aliases = [readLive, searchLive, adminLive];
    for (const alias of aliases) alias.node.addDependency(hook);
    const { ignoreRolloutAlarms: ignoreAlarms } = this.#props;
    new Rollouts(this, 'Rollouts', { rollout, aliases, alarms: failures, ignoreAlarms });
    return { read: readLive, search: searchLive, admin: adminLive };
  }

  #createApi(targets: ApiTargets, alarms: Alarms): void {
    const keys = deriveKeys(this.stackName, this.#props.config.clients);
    const authorizer = this.#createAuthorizer(keys);
    alarmOnIssuer(alarms, authorizer);
    const { logRetentionDays: logRetention, readThrottle, searchThrottle } = this.#props.config;
    const { domain, firewall } = this.#props.config;
    const throttles = { readThrottle, searchThrottle };
    const api = new RestApi(this, 'Api', { authorizer, logRetention, ...throttles, domain, firewall });
    const methodThrottles = this.#addRoutes(api, targets);
    new UsagePlans(this, 'UsagePlans', { api, keys, throttle: readThrottle, methodThrottles });
    new CfnOutput(this, 'ApiUrl', { value: api.address });
  }

  /** All that `shared/routes.ts` declares. Answers what throttle each has that has one of its own. */
  #addRoutes(api: RestApi, targets: ApiTargets): UsagePlansProps['methodThrottles'] {
    return Object.entries<Route>(routes).flatMap(([name, route]) => {
      const [httpMethod, path] = name.split(' ') as [HttpMethod, string];
      const target = targets[route.answeredBy];
      if (route.scope === null) {
        api.addOpenRoute(httpMethod, path, target);
        return [];
      }
      const method = api.addProtectedRoute(httpMethod, path, target, route);
      const throttle = throttleOf(route, this.#props.config);
      return throttle === undefined ? [] : [{ method, throttle }];
    });
  }

  /** Outside the VPC: it needs the issuer's keys from the internet, and nothing of ours. */
  #createAuthorizer(keys: Record<string, string>): NodeFunction {
    const { issuer } = this.#props;
    return this.#createFunction('Authorizer', 'authorizer', {
      environment: { ...issuerEnvironment(issuer), ...usageKeysEnvironment(keys, issuer) },
    });
  }

  #createAdmin(warmer: Warmer, migrations: Migrations): NodeFunction {
    const admin = this.#createDataFunction('Admin', 'admin', migrations);
    warmer.grantStart(admin);
    const { replicationGroup } = this.#props.connections.redis;
    if (replicationGroup) allowDescribing(admin, replicationGroup);
    return admin;
  }

  #createDataFunction(
    id: string,
    folder: FunctionFolder,
    migrations: Migrations,
    name: FunctionName = folder,
  ): NodeFunction {
    const size = this.#props.config.functions[name];
    const props = { ...this.#dataFunctionProps(folder, 'reader'), name, size };
    const created = new NodeFunction(this, id, props);
    this.#props.connections.database.grantConnect?.(created, 'reader');
    // Code that needs a column must not run before the column is there.
    created.node.addDependency(migrations);
    return created;
  }

  #dataFunctionProps(folder: FunctionFolder, user: DatabaseUser): NodeFunctionProps {
    const { connections, config } = this.#props;
    return this.#functionProps(folder, {
      environment: serverEnvironment(connections, user, config.stage),
      placement: connections.placement,
    });
  }

  #createFunction(id: string, folder: FunctionFolder, props: OwnProps): NodeFunction {
    return new NodeFunction(this, id, this.#functionProps(folder, props));
  }

  #functionProps(folder: FunctionFolder, props: OwnProps): NodeFunctionProps {
    const { config, functionsDir } = this.#props;
    return {
      ...props,
      folder,
      functionsDir,
      environment: { LOG_LEVEL: config.logLevel, ...props.environment },
      size: config.functions[folder],
      revision: revisionOf(config),
      logRetention: config.logRetentionDays,
    };
  }
}

/** Its own, if it does not share that of all reads. A token bucket's rate is per second, hence the division. */
function throttleOf({ answeredBy, limit }: Route, { searchThrottle }: StageConfig): Throttle | undefined {
  if (limit) return { ratePerSecond: limit.callsPerMinute / 60, burst: limit.callsPerMinute };
  return answeredBy === 'search' ? searchThrottle : undefined;
}

/**
 * Of the servers' settings. A change of these can replace a server, whose new address CloudFormation would not hand to a
 * function that has not changed itself.
 */
function revisionOf({ servers, identity, secretsRevision }: StageConfig): string {
  const settings = JSON.stringify({ servers, identity, secretsRevision });
  return createHash('sha256').update(settings).digest('hex').slice(0, 8);
}

/** `GET /admin/status` tells how the servers behind Redis' address are. */
function allowDescribing(admin: NodeFunction, { id, arn }: ReplicationGroup): void {
  admin.addEnvironment('REDIS_REPLICATION_GROUP_ID', id);
  admin.addToRolePolicy(
    new PolicyStatement({ actions: ['elasticache:DescribeReplicationGroups'], resources: [arn] }),
  );
}
