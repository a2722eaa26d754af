/** The behaviour of infra/assembly/template.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readTemplate } from '../../../../infra/assembly/template.ts';
import {
  aliasResources,
  functionUri,
  routeResources,
  writeAssembly,
} from '../../../support/local-assembly.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-template-'));

afterEach(() => rmSync(dir, { recursive: true, force: true }));

const api = {
  Api: { Type: 'AWS::ApiGateway::RestApi', Properties: { ApiKeySourceType: 'AUTHORIZER' } },
  Stage: { Type: 'AWS::ApiGateway::Stage', Properties: { StageName: 'live' } },
};

function read(resources: Record<string, object>) {
  writeAssembly(dir, {
    functions: { echo: { code: '', timeoutSeconds: 7, environment: { A: 'b' } } },
    resources: { ...api, ...resources },
  });
  return readTemplate(dir);
}

it('a function has its bundle, limits and environment', () => {
  expect(read({}).functions).toEqual([
    {
      name: 'fixture-echo',
      arn: 'arn:aws:lambda:us-east-1:000000000000:function:fixture-echo',
      folder: 'echo',
      codeDir: join(dir, 'asset.echo'),
      handler: 'index.handler',
      environment: { A: 'b' },
      timeoutMs: 7000,
      memoryMiB: 128,
    },
  ]);
});

it('routes have their whole path, authorizer and function', () => {
  const { api } = read({
    ...routeResources({
      Users: { part: 'users' },
      User: { part: '{id}', parent: 'Users', target: 'echo', isProtected: true },
    }),
    Authorizer: {
      Type: 'AWS::ApiGateway::Authorizer',
      Properties: {
        Type: 'TOKEN',
        AuthorizerUri: functionUri('echo'),
        IdentitySource: 'method.request.header.Authorization',
        AuthorizerResultTtlInSeconds: 60,
      },
    },
  });

  expect(api.routes).toEqual([
    {
      method: 'GET',
      path: '/users/{id}',
      apiKeyRequired: true,
      authorization: { kind: 'token', functionName: 'fixture-echo', header: 'authorization', ttlMs: 60_000 },
      integration: { kind: 'lambda', functionName: 'fixture-echo', timeoutMs: 29_000 },
    },
  ]);
});

it('a route to an alias has the function behind it, and so has a schedule', () => {
  const { api, schedules } = read({
    ...aliasResources('echo'),
    ...routeResources({ Users: { part: 'users', target: 'echo', isAlias: true } }),
    Rule: {
      Type: 'AWS::Events::Rule',
      Properties: { ScheduleExpression: 'rate(30 minutes)', Targets: [{ Arn: { Ref: 'echoLive' } }] },
    },
  });

  expect(api.routes[0]?.integration).toMatchObject({ kind: 'lambda', functionName: 'fixture-echo' });
  expect(schedules).toMatchObject([{ functionName: 'fixture-echo' }]);
});

describe('a request validator', () => {
  const method = {
    RequestValidatorId: { Ref: 'Validator' },
    RequestParameters: {
      'method.request.querystring.q': true,
      'method.request.querystring.limit': false,
      'method.request.header.X-Tenant': true,
      'method.request.path.id': true,
    },
    RequestModels: { 'application/json': 'Empty' },
  };

  function readValidationOf(properties: object, validator: object) {
    const { api } = read({
      ...routeResources({ Users: { part: 'users', target: 'echo', properties } }),
      Validator: { Type: 'AWS::ApiGateway::RequestValidator', Properties: validator },
    });
    return api.routes[0]?.validation;
  }

  it('asks for required parameters, and for an object where the model is API Gateway’s own', () => {
    const all = { ValidateRequestParameters: true, ValidateRequestBody: true };

    expect(readValidationOf(method, all)).toEqual({ query: ['q'], headers: ['x-tenant'], objectBody: true });
  });

  it('asks for nothing that it is not told to look at', () => {
    const nothing = { query: [], headers: [], objectBody: false };

    expect(readValidationOf(method, {})).toEqual(nothing);
    expect(readValidationOf({ ...method, RequestModels: {} }, { ValidateRequestBody: true })).toEqual(
      nothing,
    );
    expect(readValidationOf({ ...method, RequestValidatorId: undefined }, {})).toBeUndefined();
  });
});

it('throttles of single methods have the path as it is called', () => {
  const { api } = read({
    Stage: {
      Type: 'AWS::ApiGateway::Stage',
      Properties: {
        StageName: 'live',
        MethodSettings: [
          { HttpMethod: '*', ResourcePath: '/*', MetricsEnabled: true },
          {
            HttpMethod: 'GET',
            ResourcePath: '/~1users~1{id}',
            ThrottlingRateLimit: 10,
            ThrottlingBurstLimit: 20,
          },
        ],
      },
    },
  });

  expect([...api.stageThrottles]).toEqual([['/users/{id}/GET', { ratePerSecond: 10, burst: 20 }]]);
});

it('static headers of a gateway response lose their inner quotes, others are left out', () => {
  const { api } = read({
    Throttled: {
      Type: 'AWS::ApiGateway::GatewayResponse',
      Properties: {
        ResponseType: 'THROTTLED',
        ResponseParameters: {
          'gatewayresponse.header.RateLimit': `'"client";r=0'`,
          'gatewayresponse.header.Echo': 'method.request.header.Accept',
        },
      },
    },
  });

  expect(api.gatewayResponses.get('THROTTLED')).toMatchObject({ headers: { RateLimit: '"client";r=0' } });
  expect(api.gatewayResponses.get('THROTTLED')?.headers).not.toHaveProperty('Echo');
});

it('custom resources come after what they depend on, by reference or by name', () => {
  const token = { 'Fn::GetAtt': ['echo', 'Arn'] };
  const { customResources } = read({
    Last: { Type: 'Custom::Hook', Properties: { ServiceToken: token }, DependsOn: ['Middle'] },
    Middle: { Type: 'Custom::Hook', Properties: { ServiceToken: token, After: { Ref: 'First' } } },
    First: { Type: 'AWS::CloudFormation::CustomResource', Properties: { ServiceToken: token } },
  });

  expect(customResources.map(({ logicalId }) => logicalId)).toEqual(['First', 'Middle', 'Last']);
});

it('a disabled rule does not run; an enabled one has its input', () => {
  const rule = (State: string) => ({
    Type: 'AWS::Events::Rule',
    Properties: {
      ScheduleExpression: 'rate(30 minutes)',
      State,
      Targets: [{ Arn: { 'Fn::GetAtt': ['echo', 'Arn'] }, Input: '{"trigger":"schedule"}' }],
    },
  });

  expect(read({ On: rule('ENABLED'), Off: rule('DISABLED') }).schedules).toEqual([
    { expression: 'rate(30 minutes)', functionName: 'fixture-echo', input: { trigger: 'schedule' } },
  ]);
});

it.each([
  'AWS::SNS::Topic',
  'AWS::SNS::Subscription',
  'AWS::CloudWatch::Alarm',
  'AWS::Logs::MetricFilter',
  'AWS::CodeDeploy::Application',
  'AWS::CodeDeploy::DeploymentGroup',
  'AWS::WAFv2::WebACL',
  'AWS::WAFv2::WebACLAssociation',
  'AWS::Route53::RecordSet',
  'AWS::ApiGateway::DomainName',
  'AWS::ApiGateway::BasePathMapping',
  'AWS::ApiGateway::Model',
])('%s would behave in an account, does not here, and is named', (Type) => {
  expect(read({ Thing: { Type } }).unsupported).toEqual([`Thing (${Type})`]);
});

it.each([
  'AWS::IAM::Role',
  'AWS::Logs::LogGroup',
  'AWS::ApiGateway::RequestValidator',
  'AWS::Lambda::Permission',
])('%s runs here, or shows nothing to a caller', (Type) => {
  expect(read({ Thing: { Type } }).unsupported).toEqual([]);
});

it('an alias runs here, its containers kept ready and its weights do not', () => {
  const { echoLive } = aliasResources('echo') as { echoLive: { Properties: object } };
  const ready = {
    ...echoLive.Properties,
    ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 1 },
  };

  expect(read(aliasResources('echo')).unsupported).toEqual([]);
  expect(
    read({ ...aliasResources('echo'), echoLive: { ...echoLive, Properties: ready } }).unsupported,
  ).toEqual(['echoLive (AWS::Lambda::Alias): provisioned concurrency']);
});

it('settings of asynchronous invocations that nothing here heeds are named, and no others', () => {
  const target = { Arn: { 'Fn::GetAtt': ['echo', 'Arn'] } };
  const rule = (Targets: object[]) => ({ Type: 'AWS::Events::Rule', Properties: { Targets } });
  const { unsupported } = read({
    Plain: rule([target]),
    Guarded: rule([
      { ...target, DeadLetterConfig: { Arn: 'q' }, RetryPolicy: { MaximumEventAgeInSeconds: 60 } },
    ]),
    Async: {
      Type: 'AWS::Lambda::EventInvokeConfig',
      Properties: { MaximumRetryAttempts: 2, DestinationConfig: { OnFailure: { Destination: 'q' } } },
    },
    NoRetries: { Type: 'AWS::Lambda::EventInvokeConfig', Properties: { MaximumRetryAttempts: 0 } },
  });

  expect(unsupported).toEqual([
    'Guarded (AWS::Events::Rule): dead letters, maximum event age',
    'Async (AWS::Lambda::EventInvokeConfig): destinations, retries',
  ]);
});
