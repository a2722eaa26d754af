/** The behaviour of infra/local/template/template.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { readTemplate } from '../../../../../infra/local/template/template.ts';
import { functionUri, routeResources, writeAssembly } from '../../../../support/local-assembly.ts';

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

it('what would behave in an account and does not run here is named', () => {
  const { unsupported } = read({ Topic: { Type: 'AWS::SNS::Topic' }, Role: { Type: 'AWS::IAM::Role' } });

  expect(unsupported).toEqual(['Topic (AWS::SNS::Topic)']);
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
