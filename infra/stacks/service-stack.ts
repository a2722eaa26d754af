/** The service: API, functions, schedule, migrations and deployment hook. It composes constructs and owns no resource's details. */
import { fileURLToPath } from 'node:url';
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { DeploymentHook } from '../constructs/deployment-hook.ts';
import { Migrations } from '../constructs/migrations.ts';
import { NodeFunction, type NodeFunctionProps } from '../constructs/node-function.ts';
import { RestApi } from '../constructs/rest-api.ts';
import { deriveKeys, UsagePlans } from '../constructs/usage-plans.ts';
import { Warmer } from '../constructs/warmer.ts';
import { WarmingSchedule } from '../constructs/warming-schedule.ts';
import { adminThrottles, type FunctionFolder, type StageConfig } from '../stage-config.ts';
import { identifyIssuer, locateService, type ServicePlace } from './service-addresses.ts';

export type ServiceStackProps = Pick<StackProps, 'env'> & {
  readonly config: StageConfig;
  /** Must differ at every synthesis: a new one makes the deployment hook run. */
  readonly releaseId: string;
  /** @default - functions/ of this project */
  readonly functionsDir?: string;
  /** @default - shared/postgres/migrations of this project */
  readonly migrationsDir?: string;
};

/** What differs between the functions, besides their folder. */
type OwnProps = Pick<NodeFunctionProps, 'environment' | 'placement' | 'carry'>;

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

export class ServiceStack extends Stack {
  readonly #props: ServiceStackProps & { readonly functionsDir: string; readonly migrationsDir: string };
  readonly #place: ServicePlace;

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
    this.#place = locateService(this, props.config.addresses);
    this.#compose();
  }

  #compose(): void {
    const migrations = this.#createMigrations();
    const warmer = new Warmer(this, 'Warmer', this.#functionProps('warmer', this.#place));
    const read = this.#createDataFunction('Read', 'read');
    const admin = this.#createDataFunction('Admin', 'admin');
    warmer.grantStart(admin);
    // Code that needs a column must not run before the column is there.
    for (const user of [read, admin, warmer.function]) user.node.addDependency(migrations);

    const keys = deriveKeys(this.stackName, this.#props.config.clients);
    const api = this.#createApi(read, keys);
    const usagePlans = this.#createUsagePlans(api, admin, keys);
    const schedule = new WarmingSchedule(this, 'WarmingSchedule', { warmer });
    this.#createHook(warmer, [migrations, api, usagePlans, schedule]);
    new CfnOutput(this, 'ApiUrl', { value: api.url });
  }

  #createMigrations(): Migrations {
    const { migrationsDir } = this.#props;
    const handler = this.#createFunction('Migrate', 'migrate', {
      environment: { DATABASE_URL: this.#place.environment.DATABASE_URL },
      placement: this.#place.placement,
      carry: { from: migrationsDir, as: 'migrations' },
    });
    return new Migrations(this, 'Migrations', { handler, migrationsDir });
  }

  #createApi(read: NodeFunction, keys: Record<string, string>): RestApi {
    const authorizer = this.#createAuthorizer(keys);
    const { logRetentionDays: logRetention, readThrottle } = this.#props.config;
    const api = new RestApi(this, 'Api', { authorizer, logRetention, readThrottle });
    api.addOpenRoute('GET', '/health', read);
    api.addProtectedRoute('GET', '/users', read);
    api.addProtectedRoute('GET', '/users/{id}', read);
    api.addProtectedRoute('GET', '/users/search', read);
    return api;
  }

  #createUsagePlans(api: RestApi, admin: NodeFunction, keys: Record<string, string>): UsagePlans {
    return new UsagePlans(this, 'UsagePlans', {
      api,
      keys,
      throttle: this.#props.config.readThrottle,
      methodThrottles: [
        { method: api.addProtectedRoute('GET', '/admin/status', admin), throttle: adminThrottles.status },
        {
          method: api.addProtectedRoute('POST', '/admin/warm-up', admin),
          throttle: adminThrottles['warm-up'],
        },
        { method: api.addProtectedRoute('POST', '/admin/clear', admin), throttle: adminThrottles.clear },
      ],
    });
  }

  /** Outside the VPC: it needs the issuer's keys from the internet, and nothing of ours. */
  #createAuthorizer(keys: Record<string, string>): NodeFunction {
    return this.#createFunction('Authorizer', 'authorizer', {
      environment: { ...identifyIssuer(this, this.#props.config.jwt), USAGE_KEYS: JSON.stringify(keys) },
    });
  }

  #createHook(warmer: Warmer, after: readonly Construct[]): void {
    const handler = this.#createFunction('DeploymentHookFunction', 'deployment-hook', { environment: {} });
    warmer.grantStart(handler);
    new DeploymentHook(this, 'DeploymentHook', { handler, releaseId: this.#props.releaseId, after });
  }

  #createDataFunction(id: string, folder: FunctionFolder): NodeFunction {
    return this.#createFunction(id, folder, this.#place);
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
      environment: { STAGE: config.stage, LOG_LEVEL: config.logLevel, ...props.environment },
      size: config.functions[folder],
      logRetention: config.logRetentionDays,
    };
  }
}
