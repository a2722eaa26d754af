/** What the service stack deploys, asserted on the synthesised template. Nothing is bundled. */
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { beforeAll, describe, expect, it } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import type { Connections, Issuer } from '../../infra/constructs/connections.ts';
import { isAllowed } from '../../infra/local/gateway/policy.ts';
import { ServiceStack, type ServiceStackProps } from '../../infra/stacks/service-stack.ts';
import type { StageConfig } from '../../infra/stage-config.ts';
import { localStage } from '../../infra/stages/local.ts';
import { prodStage } from '../../infra/stages/prod.ts';
import { openedBy } from '../../shared/http/scopes.ts';
import { routes, scopes } from '../../shared/routes.ts';
import { runbookEntries } from '../support/runbook.ts';

const plainUrl = 'postgres://127.0.0.1:5433/prewarm';
const plain: Connections = {
  redis: { url: 'redis://127.0.0.1:6380' },
  database: { urls: { owner: plainUrl, reader: plainUrl, warmer: plainUrl }, isRdsProxy: false },
  pushgatewayUrl: 'http://127.0.0.1:9092',
};

const issuer: Issuer = {
  issuer: 'https://prewarm.local',
  audiences: ['prewarm-api'],
  jwksUri: 'http://127.0.0.1:3001/jwks',
};

const local = localStage({
  redisUrl: plain.redis.url,
  databaseUrl: plainUrl,
  pushgatewayUrl: 'http://127.0.0.1:9092',
  jwksUri: issuer.jwksUri,
});

function synthesise(config: StageConfig, props: Partial<ServiceStackProps> = {}): Template {
  const app = new App({ context: { ...cdkJson.context, 'aws:cdk:bundling-stacks': [] } });
  const all = { config, connections: plain, issuer, releaseId: 'release-1', ...props };
  return Template.fromStack(new ServiceStack(app, `prewarm-${config.stage}`, all));
}

type Resources = Record<string, { Type: string; Properties: Record<string, unknown>; DependsOn?: string[] }>;

/** The logical id of the function made from a folder. */
function functionId(template: Template, folder: string): string {
  const [id] = Object.keys(
    template.findResources('AWS::Lambda::Function', { Metadata: { 'prewarm:function': folder } }),
  );
  return id ?? `no function of the folder ${folder}`;
}

function environmentOf(template: Template, folder: string): Record<string, unknown> {
  const [found] = Object.values(
    template.findResources('AWS::Lambda::Function', { Metadata: { 'prewarm:function': folder } }),
  );
  return found?.['Properties'].Environment.Variables ?? {};
}

/** `GET /users/{id}` and the folder of the function that answers it. */
function routesOf(template: Template): Record<string, Record<string, unknown>> {
  const resources = template.toJSON().Resources as Resources;
  const methods = Object.values(resources).filter(({ Type }) => Type === 'AWS::ApiGateway::Method');
  return Object.fromEntries(
    methods.map(({ Properties }) => [
      `${Properties['HttpMethod']} ${pathOf(resources, Properties['ResourceId'])}`,
      Properties,
    ]),
  );
}

function pathOf(resources: Resources, reference: unknown): string {
  const resource = resources[(reference as { Ref?: string }).Ref ?? ''];
  return resource
    ? `${pathOf(resources, resource.Properties['ParentId'])}/${resource.Properties['PathPart']}`
    : '';
}

/** The statements of a function's own role. */
function policiesOf(template: Template, folder: string): unknown[] {
  const [found] = Object.values(
    template.findResources('AWS::Lambda::Function', { Metadata: { 'prewarm:function': folder } }),
  );
  const role = found?.['Properties'].Role['Fn::GetAtt'][0];
  return Object.values(
    template.findResources('AWS::IAM::Policy', { Properties: { Roles: [{ Ref: role }] } }),
  );
}

function logGroupOf(template: Template, folder: string): unknown {
  const [found] = Object.values(
    template.findResources('AWS::Lambda::Function', { Metadata: { 'prewarm:function': folder } }),
  );
  return found?.['Properties'].LoggingConfig.LogGroup;
}

let template: Template;

beforeAll(() => {
  template = synthesise(local);
});

describe('the API', () => {
  it('has the routes that are declared and no others, each to its function', () => {
    const made = routesOf(template);

    expect(Object.keys(made).sort()).toEqual(Object.keys(routes).sort());
    for (const [name, { answeredBy }] of Object.entries(routes)) {
      expect(JSON.stringify(made[name]?.['Integration'])).toContain(functionId(template, answeredBy));
    }
  });

  it('gives searches to containers of their own, and admin calls to the only function that may start the warmer', () => {
    expect(routes['GET /users/search'].answeredBy).toBe('search');
    for (const [name, { answeredBy }] of Object.entries(routes)) {
      expect(answeredBy === 'admin', name).toBe(name.includes(' /admin/'));
    }
  });

  it('asks for a token and counts by key everywhere but at /health', () => {
    const { 'GET /health': health, ...others } = routesOf(template);

    expect(health).toMatchObject({ AuthorizationType: 'NONE' });
    for (const route of Object.values(others)) {
      expect(route).toMatchObject({ AuthorizationType: 'CUSTOM', ApiKeyRequired: true });
    }
  });

  it('takes the key from the authorizer, whose answer holds five minutes', () => {
    template.hasResourceProperties('AWS::ApiGateway::RestApi', { ApiKeySourceType: 'AUTHORIZER' });
    template.hasResourceProperties('AWS::ApiGateway::Authorizer', {
      Type: 'TOKEN',
      IdentitySource: 'method.request.header.Authorization',
      AuthorizerResultTtlInSeconds: 300,
    });
  });

  it.each([
    ['Bearer eyJhbGciOi.eyJpc3MiOi.c2lnbmF0-_', true],
    ['bearer a.b.c', true],
    ['Bearer a.b', false],
    ['Bearer a.b.', false],
    ['Bearer a.b.c.d', false],
    ['Bearer a.b.c d', false],
    ['Bearer  a.b.c', false],
    ['Basic YTpi', false],
    ['a.b.c', false],
  ])('lets only what looks like a token reach the authorizer: %j', (header, isLet) => {
    const [authorizer] = Object.values(template.findResources('AWS::ApiGateway::Authorizer'));
    expect(new RegExp(authorizer?.['Properties'].IdentityValidationExpression).test(header)).toBe(isLet);
  });

  it('has no route with a token that no scope opens, and none that two open', () => {
    for (const [name, { scope }] of Object.entries(routes).filter(([route]) => route !== 'GET /health')) {
      const opening = Object.keys(scopes).filter((each) =>
        isAllowed(
          { Statement: { Effect: 'Allow', Action: 'execute-api:Invoke', Resource: openedBy(each) } },
          name.replace(' ', '').replace(/\{[^}]+\}/, '7'),
        ),
      );
      expect(opening, name).toEqual([scope]);
      expect(scope === 'cache:admin', name).toBe(name.includes(' /admin/'));
    }
  });

  it.each([
    ['UNAUTHORIZED', 401],
    ['ACCESS_DENIED', 403],
    ['INVALID_API_KEY', 403],
    ['MISSING_AUTHENTICATION_TOKEN', 404],
    ['THROTTLED', 429],
    ['QUOTA_EXCEEDED', 429],
    ['INTEGRATION_TIMEOUT', 504],
  ])('answers %s with %i as a problem that is not cached', (ResponseType, status) => {
    template.hasResourceProperties('AWS::ApiGateway::GatewayResponse', {
      ResponseType,
      StatusCode: String(status),
      ResponseParameters: Match.objectLike({
        'gatewayresponse.header.Content-Type': "'application/problem+json'",
        'gatewayresponse.header.Cache-Control': "'no-store'",
      }),
      ResponseTemplates: {
        'application/json': Match.serializedJson(
          Match.objectLike({ type: 'about:blank', status, traceId: '$context.requestId' }),
        ),
      },
    });
  });

  it('tells a throttled client when to come back, and an unknown one how to authenticate', () => {
    template.hasResourceProperties('AWS::ApiGateway::GatewayResponse', {
      ResponseType: 'THROTTLED',
      ResponseParameters: Match.objectLike({
        'gatewayresponse.header.Retry-After': "'1'",
        'gatewayresponse.header.RateLimit': `'"client";r=0;t=1'`,
        'gatewayresponse.header.RateLimit-Policy': `'"client";q=100;w=1, "search";q=10;w=1, "status";q=5;w=60, "warm-up";q=2;w=60, "clear";q=2;w=60'`,
      }),
    });
    template.hasResourceProperties('AWS::ApiGateway::GatewayResponse', {
      ResponseType: 'UNAUTHORIZED',
      ResponseParameters: Match.objectLike({ 'gatewayresponse.header.WWW-Authenticate': "'Bearer'" }),
    });
  });
});

describe('the usage plan', () => {
  it('throttles searches, and the admin methods at exactly the requirement’s figures, per client', () => {
    template.resourceCountIs('AWS::ApiGateway::UsagePlan', 1);
    template.hasResourceProperties('AWS::ApiGateway::UsagePlan', {
      ApiStages: [
        Match.objectLike({
          Throttle: {
            '/users/search/GET': { RateLimit: 10, BurstLimit: 20 },
            '/admin/status/GET': { RateLimit: 5 / 60, BurstLimit: 5 },
            '/admin/warm-up/POST': { RateLimit: 2 / 60, BurstLimit: 2 },
            '/admin/clear/POST': { RateLimit: 2 / 60, BurstLimit: 2 },
          },
        }),
      ],
      Throttle: { RateLimit: 100, BurstLimit: 200 },
    });
  });

  it('has a key for each client, and the authorizer knows them all', () => {
    const keys = Object.values(template.findResources('AWS::ApiGateway::ApiKey'));
    const values = keys.map(({ Properties }) => Properties.Value as string);
    const known = JSON.parse(String(environmentOf(template, 'authorizer')['USAGE_KEYS']));

    expect(Object.keys(known)).toEqual(['default', 'oncall', 'console', 'ci']);
    expect(Object.values(known).sort()).toEqual(values.sort());
    expect(values.every((value) => value.length >= 20)).toBe(true);
    template.resourceCountIs('AWS::ApiGateway::UsagePlanKey', 4);
  });
});

describe('a function', () => {
  const addresses = {
    REDIS_URL: 'redis://127.0.0.1:6380',
    DATABASE_URL: 'postgres://127.0.0.1:5433/prewarm',
    PUSHGATEWAY_URL: 'http://127.0.0.1:9092',
    STAGE: 'local',
  };
  const common = {
    LOG_LEVEL: 'info',
    NODE_OPTIONS: '--enable-source-maps --disable-warning=DEP0169',
  };

  it.each([
    ['read', addresses],
    ['warmer', addresses],
    ['migrate', { DATABASE_URL: addresses.DATABASE_URL }],
  ])('%s gets this environment and no more', (folder, own) => {
    expect(environmentOf(template, folder)).toEqual({ ...common, ...own });
  });

  it('admin and the deployment hook know the warmer and may invoke it, and nothing else', () => {
    const warmer = { Ref: functionId(template, 'warmer') };

    expect(environmentOf(template, 'admin')).toEqual({
      ...common,
      ...addresses,
      WARMER_FUNCTION_NAME: warmer,
    });
    expect(environmentOf(template, 'deployment-hook')).toEqual({
      ...common,
      WARMER_FUNCTION_NAME: warmer,
      WAIT_FOR_WARM_UP_MS: '20000',
    });
    const invokers = template.findResources('AWS::IAM::Policy', {
      Properties: {
        PolicyDocument: {
          Statement: Match.arrayWith([
            Match.objectLike({
              Action: 'lambda:InvokeFunction',
              Resource: { 'Fn::GetAtt': [warmer.Ref, 'Arn'] },
            }),
          ]),
        },
      },
    });
    expect(Object.keys(invokers)).toHaveLength(2);
  });

  it('authorizer gets the issuer’s settings and no address of a server', () => {
    expect(environmentOf(template, 'authorizer')).toEqual({
      ...common,
      JWT_ISSUER: 'https://prewarm.local',
      JWT_AUDIENCE: 'prewarm-api',
      JWT_JWKS_URI: 'http://127.0.0.1:3001/jwks',
      USAGE_KEYS: expect.any(String),
    });
  });

  it.each([
    ['read', 10, 512],
    ['search', 10, 512],
    ['admin', 28, 512],
    ['warmer', 90, 1024],
    ['authorizer', 5, 256],
    ['deployment-hook', 30, 256],
    ['migrate', 300, 256],
  ])('%s may take %i s and %i MiB, on Node 24 and ARM', (folder, Timeout, MemorySize) => {
    template.hasResource('AWS::Lambda::Function', {
      Metadata: { 'prewarm:function': folder },
      Properties: { Timeout, MemorySize, Runtime: 'nodejs24.x', Architectures: ['arm64'] },
    });
  });

  it('warmer runs three times at once at most, and is never retried from outside', () => {
    template.hasResourceProperties('AWS::Lambda::Function', { ReservedConcurrentExecutions: 3 });
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', { MaximumRetryAttempts: 0 });
  });

  it('has a log group of its own, which forgets', () => {
    const groups = Object.values(template.findResources('AWS::Logs::LogGroup'));

    expect(groups.length).toBe(Object.keys(template.findResources('AWS::Lambda::Function')).length + 1); // the access log
    expect(groups.every(({ Properties }) => Properties.RetentionInDays === 7)).toBe(true);
  });

  it('that needs a table waits for the migrations', () => {
    const [migrations] = Object.keys(template.findResources('Custom::PrewarmMigrations'));
    const functions = template.findResources('AWS::Lambda::Function');

    for (const folder of ['read', 'search', 'admin', 'warmer']) {
      expect(functions[functionId(template, folder)]?.['DependsOn']).toContain(migrations);
    }
  });
});

describe('a warm-up', () => {
  it('starts every 30 minutes, is not retried, and goes to the queue when it cannot start', () => {
    template.hasResourceProperties('AWS::Events::Rule', {
      ScheduleExpression: 'rate(30 minutes)',
      State: 'ENABLED',
      Targets: [
        Match.objectLike({
          Arn: { 'Fn::GetAtt': [functionId(template, 'warmer'), 'Arn'] },
          Input: '{"trigger":"schedule"}',
          RetryPolicy: { MaximumRetryAttempts: 0 },
          DeadLetterConfig: Match.anyValue(),
        }),
      ],
    });
  });

  it('starts on every deploy: the hook’s release differs between two syntheses', () => {
    const releaseOf = (each: Template) =>
      Object.values(each.findResources('Custom::PrewarmDeploymentHook')).map(
        ({ Properties }) => Properties.ReleaseId,
      );

    expect(releaseOf(template)).toEqual(['release-1']);
    expect(releaseOf(synthesise(local, { releaseId: 'release-2' }))).toEqual(['release-2']);
  });

  it('starts after the migrations and with the new warmer, and before new code gets its first request', () => {
    const [hookId = '', hook] =
      Object.entries(template.findResources('Custom::PrewarmDeploymentHook'))[0] ?? [];
    const [migrations] = Object.keys(template.findResources('Custom::PrewarmMigrations'));
    const functions = template.findResources('AWS::Lambda::Function');

    expect(hook?.['DependsOn']).toEqual(expect.arrayContaining([migrations, functionId(template, 'warmer')]));
    for (const folder of ['read', 'search', 'admin']) {
      expect(functions[functionId(template, folder)]?.['DependsOn']).toContain(hookId);
    }
  });

  it('can be found by the one who deployed: the stack tells its traceId and the API’s address', () => {
    const [hookId] = Object.keys(template.findResources('Custom::PrewarmDeploymentHook'));
    template.hasOutput('WarmupTraceId', { Value: { 'Fn::GetAtt': [hookId, 'TraceId'] } });
    template.hasOutput('ApiUrl', {});
  });

  it('is not what makes migrations run: their files are, and secrets that are told to have changed', () => {
    const migrationsOf = (each: Template) =>
      Object.values(each.findResources('Custom::PrewarmMigrations')).map(({ Properties }) => Properties);

    expect(migrationsOf(synthesise(local, { releaseId: 'release-2' }))).toEqual(migrationsOf(template));
    expect(migrationsOf(synthesise({ ...local, secretsRevision: 1 }))).not.toEqual(migrationsOf(template));
  });
});

describe('an alarm', () => {
  const alarms = () => Object.values(template.findResources('AWS::CloudWatch::Alarm'));

  it('has an entry in the runbook, under its own name', () => {
    const entries = runbookEntries();
    const named = alarms().map(
      ({ Properties }) => /docs\/runbook\.md#([a-z0-9]+)$/.exec(Properties.AlarmDescription)?.[1],
    );

    expect(named).toContain('warmupfailed');
    for (const name of named) expect(entries).toContain(name);
  });

  it('tells the topic, which takes TLS only and writes to the people of the stage', () => {
    const [topic] = Object.keys(template.findResources('AWS::SNS::Topic'));
    for (const { Properties } of alarms()) expect(Properties.AlarmActions).toEqual([{ Ref: topic }]);
    template.resourceCountIs('AWS::SNS::Subscription', 0);
    template.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: [
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
          Match.objectLike({
            Effect: 'Allow',
            Principal: { Service: 'cloudwatch.amazonaws.com' },
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          }),
        ],
      },
    });
    synthesise({ ...local, alarmEmails: ['oncall@example.com'] }).hasResourceProperties(
      'AWS::SNS::Subscription',
      { Protocol: 'email', Endpoint: 'oncall@example.com' },
    );
  });

  it.each([
    ['deployment-hook', 'deploymenthookfailed'],
    ['warmer', 'warmupfailed'],
  ])('goes off when %s logs an error, and when it ends without a line', (folder, entry) => {
    const [filter] = Object.values(
      template.findResources('AWS::Logs::MetricFilter', {
        Properties: { LogGroupName: logGroupOf(template, folder) },
      }),
    );
    expect(filter?.['Properties'].FilterPattern).toBe('{ $.level = "error" }');
    const { MetricName } = filter?.['Properties'].MetricTransformations[0] ?? {};
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmDescription: Match.stringLikeRegexp(`#${entry}$`),
      Threshold: 1,
      Metrics: Match.arrayWith([
        Match.objectLike({
          Id: 'lines',
          MetricStat: Match.objectLike({ Metric: Match.objectLike({ MetricName }) }),
        }),
        Match.objectLike({
          Id: 'failures',
          MetricStat: Match.objectLike({
            Metric: Match.objectLike({
              MetricName: 'Errors',
              Dimensions: [{ Name: 'FunctionName', Value: { Ref: functionId(template, folder) } }],
            }),
          }),
        }),
      ]),
    });
  });

  it('goes off when a warm-up could not be started, and when none was for two intervals', () => {
    const queue = Object.keys(template.findResources('AWS::SQS::Queue')).find((id) =>
      id.startsWith('Warmer'),
    );
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'ApproximateNumberOfMessagesVisible',
      Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': [queue, 'QueueName'] } }],
      Threshold: 1,
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'Invocations',
      Dimensions: [{ Name: 'FunctionName', Value: { Ref: functionId(template, 'warmer') } }],
      Period: 3600,
      ComparisonOperator: 'LessThanThreshold',
      TreatMissingData: 'breaching',
    });
  });
});

describe('a rollout', () => {
  const rolled = synthesise({ ...local, rollout: 'canary-10-percent-5-minutes' });

  it('sends the API’s requests to aliases, and nothing past them', () => {
    const aliases = Object.keys(rolled.findResources('AWS::Lambda::Alias'));
    expect(aliases).toHaveLength(3);
    for (const [route, { Integration }] of Object.entries(routesOf(rolled))) {
      const uri = JSON.stringify((Integration as { Uri: unknown }).Uri);
      expect(
        aliases.some((alias) => uri.includes(`{"Ref":"${alias}"}`)),
        route,
      ).toBe(true);
    }
    for (const folder of ['read', 'search', 'admin']) {
      rolled.hasResourceProperties('AWS::Lambda::Alias', {
        Name: 'live',
        FunctionName: { Ref: functionId(rolled, folder) },
      });
      rolled.allResourcesProperties('AWS::Lambda::Permission', {
        FunctionName: Match.not({ 'Fn::GetAtt': [functionId(rolled, folder), 'Arn'] }),
      });
    }
  });

  it('moves ten percent for five minutes, and back when the API fails or the function crashes', () => {
    const named = Object.entries(rolled.findResources('AWS::CloudWatch::Alarm')).filter(
      ([, { Properties }]) => /#(apifails|readscrash)$/.test(Properties.AlarmDescription),
    );
    rolled.resourceCountIs('AWS::CodeDeploy::DeploymentGroup', 3);
    rolled.allResourcesProperties('AWS::CodeDeploy::DeploymentGroup', {
      DeploymentConfigName: 'CodeDeployDefault.LambdaCanary10Percent5Minutes',
      AutoRollbackConfiguration: {
        Enabled: true,
        Events: ['DEPLOYMENT_FAILURE', 'DEPLOYMENT_STOP_ON_REQUEST', 'DEPLOYMENT_STOP_ON_ALARM'],
      },
      AlarmConfiguration: { Enabled: true, Alarms: named.map(([id]) => ({ Name: { Ref: id } })) },
    });
    for (const alias of Object.values(rolled.findResources('AWS::Lambda::Alias'))) {
      expect(alias['UpdatePolicy'].CodeDeployLambdaAliasUpdate).toBeDefined();
    }
  });

  it('begins after the hook: the warm-up runs before the first request to new code', () => {
    const [hook] = Object.keys(rolled.findResources('Custom::PrewarmDeploymentHook'));
    for (const alias of Object.values(rolled.findResources('AWS::Lambda::Alias'))) {
      expect(alias['DependsOn']).toContain(hook);
    }
  });

  it('can be told to ignore alarms, since none begins while one is on, not even what ends it', () => {
    synthesise({ ...local, rollout: 'all-at-once' }, { ignoreRolloutAlarms: true }).allResourcesProperties(
      'AWS::CodeDeploy::DeploymentGroup',
      { AlarmConfiguration: Match.objectLike({ Enabled: false }) },
    );
  });

  it('publishes new versions when a server or a secret is another one, and none for a release of the same', () => {
    const versionsOf = (config: StageConfig, releaseId: string) =>
      Object.keys(synthesise(config, { releaseId }).findResources('AWS::Lambda::Version'));
    const staged: StageConfig = { ...local, rollout: 'all-at-once' };
    const before = versionsOf(staged, 'release-1');

    expect(versionsOf(staged, 'release-2')).toEqual(before);
    for (const change of [{ secretsRevision: 1 }, { servers: prodStage.servers }]) {
      for (const version of versionsOf({ ...staged, ...change }, 'release-1')) {
        expect(before).not.toContain(version);
      }
    }
  });

  it('keeps containers started where the stage says how many', () => {
    const kept = { ...local.functions, read: { ...local.functions.read, provisionedConcurrency: 3 } };
    const provisioned = synthesise({ ...local, rollout: 'all-at-once', functions: kept });
    provisioned.hasResourceProperties('AWS::Lambda::Alias', {
      FunctionName: { Ref: functionId(provisioned, 'read') },
      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 3 },
    });
    rolled.allResourcesProperties('AWS::Lambda::Alias', { ProvisionedConcurrencyConfig: Match.absent() });
  });
});

describe('in a VPC, behind RDS Proxy', () => {
  let deployed: Template;

  beforeAll(() => {
    const connections: Connections = {
      ...plain,
      redis: {
        url: 'rediss://redis.example',
        replicationGroup: {
          id: 'group',
          arn: 'arn:aws:elasticache:us-east-1:123456789012:replicationgroup:group',
        },
      },
      database: {
        urls: {
          owner: 'postgres://owner@proxy.example/prewarm',
          reader: 'postgres://reader@proxy.example/prewarm',
          warmer: 'postgres://warmer@proxy.example/prewarm',
        },
        isRdsProxy: true,
        logins: { prewarm_reader: 'one', prewarm_warmer: 'two' },
        grantConnect: (grantee, user) =>
          void grantee.grantPrincipal.addToPrincipalPolicy(
            new PolicyStatement({
              actions: ['rds-db:connect'],
              resources: [`arn:aws:rds-db:us-east-1:123456789012:dbuser:prx-1/${user}`],
            }),
          ),
      },
      placement: {
        subnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
        securityGroupId: 'sg-0123456789abcdef0',
      },
    };
    deployed = synthesise(prodStage, { connections });
  });

  it('only the functions that need servers are in the private subnets', () => {
    const placed = Object.values(deployed.findResources('AWS::Lambda::Function')).filter(
      ({ Properties }) => Properties.VpcConfig,
    );
    for (const { Properties } of placed) {
      expect(Properties.VpcConfig).toEqual({
        SubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
        SecurityGroupIds: ['sg-0123456789abcdef0'],
      });
    }
    expect(placed.map(({ Metadata }) => Metadata['prewarm:function']).sort()).toEqual([
      'admin',
      'migrate',
      'read',
      'search',
      'warmer',
    ]);
  });

  it.each([
    ['read', 'reader'],
    ['search', 'reader'],
    ['admin', 'reader'],
    ['warmer', 'warmer'],
    ['migrate', 'owner'],
  ])('%s signs in as the %s, may connect as nobody else, and is told of the proxy', (folder, user) => {
    expect(environmentOf(deployed, folder)).toMatchObject({
      DATABASE_URL: `postgres://${user}@proxy.example/prewarm`,
      DATABASE_PROXY: 'rds',
    });
    expect(JSON.stringify(policiesOf(deployed, folder)).match(/dbuser:[^"]*/g)).toEqual([
      `dbuser:prx-1/${user}`,
    ]);
  });

  it.each(['authorizer', 'deployment-hook'])('%s may not connect to the database at all', (folder) => {
    expect(environmentOf(deployed, folder)).not.toHaveProperty('DATABASE_URL');
    expect(JSON.stringify(policiesOf(deployed, folder))).not.toContain('rds-db:connect');
  });

  it('only the migrations know the passwords of the roles', () => {
    for (const [folder, known] of [
      ['migrate', '{"prewarm_reader":"one","prewarm_warmer":"two"}'],
      ...['read', 'search', 'admin', 'warmer'].map((folder) => [folder, undefined] as const),
    ] as const)
      expect(environmentOf(deployed, folder)['DATABASE_LOGINS'], folder).toBe(known);
  });

  it('admin may ask about the replication group, and nobody else', () => {
    expect(environmentOf(deployed, 'admin')['REDIS_REPLICATION_GROUP_ID']).toBe('group');
    expect(environmentOf(deployed, 'read')['REDIS_REPLICATION_GROUP_ID']).toBeUndefined();
    for (const folder of ['admin', 'read', 'search', 'warmer', 'migrate']) {
      const mayAsk = JSON.stringify(policiesOf(deployed, folder)).includes(
        '"elasticache:DescribeReplicationGroups"',
      );
      expect(mayAsk).toBe(folder === 'admin');
    }
  });

  it.each([
    ['read', 170],
    ['search', 30],
  ])('a burst cannot take more containers of %s than the stage gives it', (name, containers) => {
    deployed.hasResource('AWS::Lambda::Function', {
      Metadata: { 'prewarm:function': name },
      Properties: { ReservedConcurrentExecutions: containers },
    });
  });
});
