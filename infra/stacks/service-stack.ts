/** The service: API, functions, schedule, migrations and deployment hook. It composes constructs and owns no resource's details. */
import { fileURLToPath } from 'node:url';
import { CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib';
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { DeploymentHook } from '../constructs/deployment-hook.ts';
import { Migrations } from '../constructs/migrations.ts';
import { NodeFunction, type NodeFunctionProps } from '../constructs/node-function.ts';
import { RestApi } from '../constructs/rest-api.ts';
import { deriveKeys, UsagePlans } from '../constructs/usage-plans.ts';
import { WarmingSchedule } from '../constructs/warming-schedule.ts';
import { adminThrottles, type FunctionFolder, type StageConfig } from '../stage-config.ts';
import { locateService, type ServicePlace } from './service-addresses.ts';

export type ServiceStackProps = {
  readonly config: StageConfig;
  /** Must differ at every synthesis: a new one makes the deployment hook run. */
  readonly releaseId: string;
  /** @default - functions/ of this project */
  readonly functionsDir?: string;
  /** @default - shared/postgres/migrations of this project */
  readonly migrationsDir?: string;
};

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

export class ServiceStack extends Stack {
  readonly #props: Required<ServiceStackProps>;
  readonly #place: ServicePlace;

  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, { description: `Prewarm (${props.config.stage}): the API and its warmer` });
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
    const deadLetters = createDeadLetters(this);
    const warmer = this.#createWarmer(deadLetters);
    const read = this.#createDataFunction('Read', 'read');
    const admin = this.#createDataFunction('Admin', 'admin');
    grantWarmer(admin, warmer);
    // Code that needs a column must not run before the column is there.
    for (const user of [read, admin, warmer]) user.node.addDependency(migrations);

    const keys = deriveKeys(this.stackName, this.#props.config.clients);
    const api = this.#createApi(read, keys);
    const usagePlans = this.#createUsagePlans(api, admin, keys);
    const schedule = new WarmingSchedule(this, 'WarmingSchedule', { warmer, deadLetters });
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

  #createWarmer(deadLetters: Queue): NodeFunction {
    const warmer = this.#createDataFunction('Warmer', 'warmer');
    warmer.configureAsyncInvoke({
      retryAttempts: 0, // the warmer retries each step itself
      maxEventAge: Duration.minutes(5), // a warm-up that could not start for so long is left to the next
      onFailure: new SqsDestination(deadLetters),
    });
    return warmer;
  }

  #createApi(read: NodeFunction, keys: Record<string, string>): RestApi {
    const authorizer = this.#createAuthorizer(keys);
    const api = new RestApi(this, 'Api', { authorizer, logRetention: this.#props.config.logRetentionDays });
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
        { method: api.addProtectedRoute('POST', '/admin/warm-up', admin), throttle: adminThrottles.warmUp },
        { method: api.addProtectedRoute('POST', '/admin/clear', admin), throttle: adminThrottles.clear },
      ],
    });
  }

  /** Outside the VPC: it needs the issuer's keys from the internet, and nothing of ours. */
  #createAuthorizer(keys: Record<string, string>): NodeFunction {
    const { issuer, audience, jwksUri } = this.#props.config.jwt;
    return this.#createFunction('Authorizer', 'authorizer', {
      environment: {
        JWT_ISSUER: issuer,
        JWT_AUDIENCE: audience,
        JWT_JWKS_URI: jwksUri,
        USAGE_KEYS: JSON.stringify(keys),
      },
    });
  }

  #createHook(warmer: NodeFunction, after: readonly Construct[]): void {
    const handler = this.#createFunction('DeploymentHookFunction', 'deployment-hook', { environment: {} });
    grantWarmer(handler, warmer);
    new DeploymentHook(this, 'DeploymentHook', { handler, releaseId: this.#props.releaseId, after });
  }

  #createDataFunction(id: string, folder: FunctionFolder): NodeFunction {
    return this.#createFunction(id, folder, this.#place);
  }

  #createFunction(
    id: string,
    folder: FunctionFolder,
    props: Pick<NodeFunctionProps, 'environment' | 'placement' | 'carry'>,
  ): NodeFunction {
    const { config, functionsDir } = this.#props;
    return new NodeFunction(this, id, {
      ...props,
      folder,
      functionsDir,
      environment: { STAGE: config.stage, LOG_LEVEL: config.logLevel, ...props.environment },
      size: config.functions[folder],
      logRetention: config.logRetentionDays,
    });
  }
}

/** Lets a function start the warmer, and tells it the name. */
function grantWarmer(caller: LambdaFunction, warmer: LambdaFunction): void {
  caller.addEnvironment('WARMER_FUNCTION_NAME', warmer.functionName);
  caller.addToRolePolicy(
    new PolicyStatement({
      effect: Effect.ALLOW,
      actions: ['lambda:InvokeFunction'],
      resources: [warmer.functionArn],
    }),
  );
}

/** Warm-ups that could not start; nothing reads it but an alarm and a person. */
function createDeadLetters(scope: Construct): Queue {
  const queue = new Queue(scope, 'WarmerDeadLetters', {
    enforceSSL: true,
    retentionPeriod: Duration.days(14),
  });
  Validations.of(queue).acknowledge({
    id: 'AwsSolutions-SQS3',
    reason: 'This is the dead letter queue itself.',
  });
  return queue;
}
