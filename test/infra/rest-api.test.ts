/** What the REST API synthesises: validation, problems, limits without a token, TLS, compression and access logs. */
import { Match } from 'aws-cdk-lib/assertions';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GatewayResponseSpec } from '../../infra/assembly/api-spec.ts';
import { answerFromRefusal } from '../../infra/local/gateway/gateway-answer.ts';
import { Refusal } from '../../infra/local/gateway/refusal.ts';
import { onlyOne, synthesiseApi } from '../support/api-stack.ts';

const { api, template } = synthesiseApi();

function methodWith(properties: object): Record<string, unknown> {
  const [found] = Object.values(
    template.findResources('AWS::ApiGateway::Method', { Properties: properties }),
  );
  return found?.['Properties'] ?? {};
}

function templateOf(responseType: string): string {
  const [found] = Object.values(
    template.findResources('AWS::ApiGateway::GatewayResponse', {
      Properties: { ResponseType: responseType },
    }),
  );
  return found?.['Properties'].ResponseTemplates['application/json'];
}

/** What a caller reads, when API Gateway has this to say. */
function render(refusal: Refusal): unknown {
  const spec: GatewayResponseSpec = {
    headers: {},
    template: templateOf(refusal.type),
  };
  const gatewayResponses = new Map([[refusal.type as string, spec]]);
  return JSON.parse(String(answerFromRefusal(refusal, { gatewayResponses }, { requestId: 'id' }).body));
}

describe('request validation', () => {
  it('looks at parameters and bodies', () => {
    expect(onlyOne(template, 'AWS::ApiGateway::RequestValidator')).toMatchObject({
      ValidateRequestParameters: true,
      ValidateRequestBody: true,
    });
  });

  it('asks for the parameters of a route', () => {
    expect(methodWith({ RequestParameters: { 'method.request.querystring.q': true } })).toMatchObject({
      HttpMethod: 'GET',
      RequestValidatorId: { Ref: expect.any(String) },
    });
  });

  it('asks of a body only that it is an object, so that an empty one passes', () => {
    expect(methodWith({ HttpMethod: 'POST' })).toMatchObject({
      RequestModels: { 'application/json': 'Empty' },
      RequestValidatorId: { Ref: expect.any(String) },
    });
  });

  it('leaves routes alone that ask for nothing', () => {
    expect(methodWith({ AuthorizationType: 'NONE' })).not.toHaveProperty('RequestValidatorId');
  });

  it('answers with valid JSON that names the parameter, whatever its name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const detail = `Missing required request parameters: [${name}]`;

        expect(render(new Refusal('BAD_REQUEST_PARAMETERS', detail))).toEqual({
          type: 'about:blank',
          title: 'Bad Request',
          status: 400,
          detail,
          traceId: 'id',
        });
      }),
      { examples: [['"'], ['\\'], ['","status":200,"x":"'], ['$context.requestId'], ['$&']] },
    );
  });

  it('answers a body of another form as the function would', () => {
    expect(render(new Refusal('BAD_REQUEST_BODY', 'Invalid request body'))).toMatchObject({
      status: 400,
      errors: [{ field: 'body', expected: 'a JSON object' }],
    });
  });

  it('tells nothing that API Gateway does not escape', () => {
    const templates = Object.values(template.findResources('AWS::ApiGateway::GatewayResponse')).flatMap(
      ({ Properties }) => Object.values<string>(Properties.ResponseTemplates),
    );

    const variables = templates.flatMap((text) => text.match(/\$context\.[\w.]+/g) ?? []);
    expect(new Set(variables)).toEqual(new Set(['$context.requestId', '$context.error.messageString']));
  });
});

describe('the endpoint', () => {
  it('takes modern TLS only, over IPv4 and IPv6', () => {
    expect(onlyOne(template, 'AWS::ApiGateway::RestApi')).toMatchObject({
      SecurityPolicy: 'SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09',
      EndpointAccessMode: 'STRICT',
      EndpointConfiguration: { Types: ['REGIONAL'], IpAddressType: 'dualstack' },
    });
  });

  it('is open while there is no domain', () => {
    expect(onlyOne(template, 'AWS::ApiGateway::RestApi')).toMatchObject({ DisableExecuteApiEndpoint: false });
    expect(api.address).toBe(api.url);
  });

  it('compresses what does not fit into one packet', () => {
    expect(onlyOne(template, 'AWS::ApiGateway::RestApi')).toMatchObject({ MinimumCompressionSize: 1_400 });
  });

  it('answers no more than fifty requests a second to callers without a token, and measures them', () => {
    expect(onlyOne(template, 'AWS::ApiGateway::Stage')['MethodSettings']).toEqual([
      expect.objectContaining({ HttpMethod: '*', ResourcePath: '/*', MetricsEnabled: true }),
      {
        HttpMethod: 'GET',
        ResourcePath: '/~1health',
        MetricsEnabled: true,
        ThrottlingRateLimit: 50,
        ThrottlingBurstLimit: 100,
      },
    ]);
  });
});

it('calls an alias by its ARN, and the alias lets it', () => {
  const [alias = ''] = Object.keys(template.findResources('AWS::Lambda::Alias'));

  expect(JSON.stringify(methodWith({ RequestParameters: Match.anyValue() })['Integration'])).toContain(
    JSON.stringify({ Ref: alias }),
  );
  template.hasResourceProperties('AWS::Lambda::Permission', {
    FunctionName: { Ref: alias },
    Principal: 'apigateway.amazonaws.com',
  });
});

it('writes access logs of one JSON object a line, in which no person can be found', () => {
  const stage = onlyOne(template, 'AWS::ApiGateway::Stage');
  const { Format } = stage['AccessLogSetting'] as { Format: string };

  expect(JSON.parse(Format)).toMatchObject({
    traceId: '$context.requestId',
    client: '$context.authorizer.client',
    authorizerLatencyMs: '$context.authorizer.latency',
  });
  expect(Format).not.toMatch(/identity|principalId|authorizer\.sub|path"|query/);
});
