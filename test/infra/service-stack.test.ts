/** What the service stack deploys, asserted on the synthesised template. Nothing is bundled. */
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { ServiceStack } from '../../infra/stacks/service-stack.ts';
import { devStage, localStage, prodStage, type StageConfig } from '../../infra/stage-config.ts';

const local = localStage({
  redisUrl: 'redis://127.0.0.1:6380',
  databaseUrl: 'postgres://127.0.0.1:5433/prewarm',
  pushgatewayUrl: 'http://127.0.0.1:9092',
  jwksUri: 'http://127.0.0.1:3001/jwks',
});

function synthesise(config: StageConfig, releaseId = 'release-1'): Template {
  const app = new App({ context: { ...cdkJson.context, 'aws:cdk:bundling-stacks': [] } });
  return Template.fromStack(new ServiceStack(app, `prewarm-${config.stage}`, { config, releaseId }));
}

type Resources = Record<string, { Type: string; Properties: Record<string, unknown>; DependsOn?: string[] }>;

/** The logical id of the function made from a folder. */
function functionId(template: Template, folder: string): string {
  const [id] = Object.keys(
    template.findResources('AWS::Lambda::Function', { Metadata: { 'prewarm:folder': folder } }),
  );
  return id ?? `no function of the folder ${folder}`;
}

function environmentOf(template: Template, folder: string): Record<string, unknown> {
  const [found] = Object.values(
    template.findResources('AWS::Lambda::Function', { Metadata: { 'prewarm:folder': folder } }),
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

let template: Template;

beforeAll(() => {
  template = synthesise(local);
});

describe('the API', () => {
  const targets = {
    'GET /users': 'read',
    'GET /users/{id}': 'read',
    'GET /users/search': 'read',
    'GET /admin/status': 'admin',
    'POST /admin/warm-up': 'admin',
    'POST /admin/clear': 'admin',
    'GET /health': 'read',
  };

  it('has these routes and no others, each to its function', () => {
    const routes = routesOf(template);

    expect(Object.keys(routes).sort()).toEqual(Object.keys(targets).sort());
    for (const [route, folder] of Object.entries(targets)) {
      expect(JSON.stringify(routes[route]?.['Integration'])).toContain(functionId(template, folder));
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
      ResponseParameters: Match.objectLike({ 'gatewayresponse.header.Cache-Control': "'no-store'" }),
      ResponseTemplates: {
        'application/problem+json': Match.serializedJson(
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
        'gatewayresponse.header.RateLimit-Policy': `'"client";q=100;w=1, "status";q=5;w=60, "warm-up";q=2;w=60, "clear";q=2;w=60'`,
      }),
    });
    template.hasResourceProperties('AWS::ApiGateway::GatewayResponse', {
      ResponseType: 'UNAUTHORIZED',
      ResponseParameters: Match.objectLike({ 'gatewayresponse.header.WWW-Authenticate': "'Bearer'" }),
    });
  });
});

describe('the usage plan', () => {
  it('throttles the admin methods at exactly the requirement’s figures, per client', () => {
    template.resourceCountIs('AWS::ApiGateway::UsagePlan', 1);
    template.hasResourceProperties('AWS::ApiGateway::UsagePlan', {
      ApiStages: [
        Match.objectLike({
          Throttle: {
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
  };
  const common = { STAGE: 'local', LOG_LEVEL: 'info', NODE_OPTIONS: '--enable-source-maps' };

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
    expect(environmentOf(template, 'deployment-hook')).toEqual({ ...common, WARMER_FUNCTION_NAME: warmer });
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
    ['admin', 28, 512],
    ['warmer', 60, 1024],
    ['authorizer', 5, 256],
    ['deployment-hook', 30, 256],
    ['migrate', 300, 256],
  ])('%s may take %i s and %i MiB, on Node 24 and ARM', (folder, Timeout, MemorySize) => {
    template.hasResource('AWS::Lambda::Function', {
      Metadata: { 'prewarm:folder': folder },
      Properties: { Timeout, MemorySize, Runtime: 'nodejs24.x', Architectures: ['arm64'] },
    });
  });

  it('warmer runs twice at once at most, and is never retried from outside', () => {
    template.hasResourceProperties('AWS::Lambda::Function', { ReservedConcurrentExecutions: 2 });
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', { MaximumRetryAttempts: 0 });
  });

  it('has a log group of its own, which forgets', () => {
    const groups = Object.values(template.findResources('AWS::Logs::LogGroup'));

    expect(groups).toHaveLength(7); // six functions and the access log
    expect(groups.every(({ Properties }) => Properties.RetentionInDays === 7)).toBe(true);
  });

  it('that needs a table waits for the migrations', () => {
    const [migrations] = Object.keys(template.findResources('Custom::PrewarmMigrations'));
    const functions = template.findResources('AWS::Lambda::Function');

    for (const folder of ['read', 'admin', 'warmer']) {
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
    expect(releaseOf(synthesise(local, 'release-2'))).toEqual(['release-2']);
  });

  it('starts after the migrations and everything of the API', () => {
    const [hook] = Object.values(template.findResources('Custom::PrewarmDeploymentHook'));
    const after = hook?.['DependsOn'] as string[];
    const awaited = [
      'Custom::PrewarmMigrations',
      'AWS::ApiGateway::Stage',
      'AWS::ApiGateway::UsagePlan',
      'AWS::Events::Rule',
    ];

    for (const type of awaited) {
      for (const id of Object.keys(template.findResources(type))) expect(after).toContain(id);
    }
  });

  it('is not what makes migrations run: their hash is of their files alone', () => {
    const hashOf = (each: Template) =>
      Object.values(each.findResources('Custom::PrewarmMigrations')).map(
        ({ Properties }) => Properties.MigrationsHash,
      );

    expect(hashOf(synthesise(local, 'release-2'))).toEqual(hashOf(template));
  });
});

describe.each([
  ['dev', devStage],
  ['prod', prodStage],
])('the stage %s', (stage, config) => {
  const deployed = synthesise(config);

  it('has no secret in its template, only references to it', () => {
    const { REDIS_URL, DATABASE_URL } = environmentOf(deployed, 'read');

    expect(REDIS_URL).toBe(`{{resolve:secretsmanager:prewarm/${stage}/redis:SecretString:redisUrl::}}`);
    expect(DATABASE_URL).toBe(
      `{{resolve:secretsmanager:prewarm/${stage}/database:SecretString:databaseUrl::}}`,
    );
  });

  it('puts the functions that need servers into the private subnets, and no other', () => {
    const functions = Object.values(deployed.findResources('AWS::Lambda::Function'));
    const placed = functions
      .filter(({ Properties }) => Properties.VpcConfig)
      .map(({ Metadata }) => Metadata['prewarm:folder']);

    expect(placed.sort()).toEqual(['admin', 'migrate', 'read', 'warmer']);
  });
});
