/** What the template says about the REST API: routes, authorizers, gateway responses and usage plans. */
import type { Scope } from './intrinsics.ts';
import { functionNameOf, type Listed, listOf, type Properties, propertiesOf } from './resources.ts';
import {
  readStageThrottles,
  readUsagePlan,
  type ThrottleSpec,
  type UsagePlanSpec,
} from './usage-plan-spec.ts';
import { readValidation, type ValidationSpec } from './validation-spec.ts';

export type AuthorizerSpec = {
  readonly functionName: string;
  /** In lower case. */
  readonly header: string;
  readonly pattern?: RegExp;
  readonly ttlMs: number;
};

/** What the runner does not implement is kept by name, to be answered with 501. */
type Unsupported = { readonly kind: 'unsupported'; readonly what: string };

export type RouteSpec = {
  readonly method: string;
  /** As in the template: `/users/{id}`. */
  readonly path: string;
  readonly apiKeyRequired: boolean;
  readonly authorization:
    | { readonly kind: 'none' }
    | ({ readonly kind: 'token' } & AuthorizerSpec)
    | Unsupported;
  /** Undefined without a validator. */
  readonly validation?: ValidationSpec;
  readonly integration:
    | { readonly kind: 'lambda'; readonly functionName: string; readonly timeoutMs: number }
    | Unsupported;
};

export type GatewayResponseSpec = {
  readonly status?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly template: string;
};

export type ApiSpec = {
  readonly apiId: string;
  readonly stageName: string;
  readonly keySource: 'AUTHORIZER' | 'HEADER';
  /** From how many bytes on answers are compressed. Undefined: never. */
  readonly minCompressionBytes?: number;
  readonly routes: readonly RouteSpec[];
  readonly gatewayResponses: ReadonlyMap<string, GatewayResponseSpec>;
  readonly usagePlans: readonly UsagePlanSpec[];
  /** Of all callers together, by `/path/METHOD`. */
  readonly stageThrottles: ReadonlyMap<string, ThrottleSpec>;
};

export function readApi(scope: Scope): ApiSpec {
  const [api, ...others] = listOf(scope, 'AWS::ApiGateway::RestApi');
  if (!api || others.length > 0)
    throw new Error('The local runner serves one REST API, no more and no fewer');
  const [stage] = listOf(scope, 'AWS::ApiGateway::Stage');
  const minCompressionBytes = api.properties['MinimumCompressionSize'];
  return {
    apiId: api.id,
    stageName: String(stage?.properties['StageName'] ?? 'live'),
    keySource: api.properties['ApiKeySourceType'] === 'AUTHORIZER' ? 'AUTHORIZER' : 'HEADER',
    ...(minCompressionBytes !== undefined && { minCompressionBytes: Number(minCompressionBytes) }),
    routes: listOf(scope, 'AWS::ApiGateway::Method').map(({ properties }) => readRoute(properties, scope)),
    gatewayResponses: new Map(listOf(scope, 'AWS::ApiGateway::GatewayResponse').map(readGatewayResponse)),
    usagePlans: listOf(scope, 'AWS::ApiGateway::UsagePlan').map((plan) => readUsagePlan(plan, scope)),
    stageThrottles: readStageThrottles(stage?.properties ?? {}),
  };
}

function readRoute(method: Properties, scope: Scope): RouteSpec {
  const validation = readValidation(method, scope);
  return {
    method: String(method['HttpMethod']),
    path: pathOf(String(method['ResourceId']), scope),
    apiKeyRequired: method['ApiKeyRequired'] === true,
    authorization: readAuthorization(method, scope),
    ...(validation && { validation }),
    integration: readIntegration((method['Integration'] ?? {}) as Properties),
  };
}

/** Follows the resources up to the API's root, whose id is an attribute of the API and no resource. */
function pathOf(resourceId: string, scope: Scope): string {
  const parts: string[] = [];
  for (let id = resourceId; scope.resources[id]; ) {
    const { PathPart, ParentId } = propertiesOf(scope.resources[id], scope);
    parts.unshift(String(PathPart));
    id = String(ParentId);
  }
  return `/${parts.join('/')}`;
}

function readAuthorization(method: Properties, scope: Scope): RouteSpec['authorization'] {
  const type = method['AuthorizationType'] ?? 'NONE';
  if (type === 'NONE') return { kind: 'none' };
  const authorizer = propertiesOf(scope.resources[String(method['AuthorizerId'])], scope);
  if (type !== 'CUSTOM' || authorizer['Type'] !== 'TOKEN') {
    return { kind: 'unsupported', what: `authorization of type ${String(authorizer['Type'] ?? type)}` };
  }
  const pattern = authorizer['IdentityValidationExpression'];
  return {
    kind: 'token',
    functionName: functionNameOf(String(authorizer['AuthorizerUri'])),
    header: String(authorizer['IdentitySource']).replace('method.request.header.', '').toLowerCase(),
    ttlMs: Number(authorizer['AuthorizerResultTtlInSeconds'] ?? 300) * 1000,
    ...(typeof pattern === 'string' && { pattern: new RegExp(`^(?:${pattern})$`) }),
  };
}

/** API Gateway waits 29 s unless the integration says less. */
function readIntegration({ Type, Uri, TimeoutInMillis }: Properties): RouteSpec['integration'] {
  if (Type !== 'AWS_PROXY') return { kind: 'unsupported', what: `an integration of type ${String(Type)}` };
  return {
    kind: 'lambda',
    functionName: functionNameOf(String(Uri)),
    timeoutMs: Number(TimeoutInMillis ?? 29_000),
  };
}

function readGatewayResponse({ properties }: Listed): readonly [string, GatewayResponseSpec] {
  const templates = (properties['ResponseTemplates'] ?? {}) as Record<string, string>;
  const status = properties['StatusCode'];
  return [
    String(properties['ResponseType']),
    {
      ...(status !== undefined && { status: Number(status) }),
      headers: readHeaders((properties['ResponseParameters'] ?? {}) as Record<string, string>),
      template: templates['application/json'] ?? '{"message":$context.error.messageString}',
    },
  ];
}

/** Static values stand in single quotes. References to the request (`method.request.…`) are left out. */
function readHeaders(parameters: Record<string, string>): Record<string, string> {
  const headers = Object.entries(parameters).flatMap(([name, value]) => {
    const header = /^gatewayresponse\.header\.(.+)$/.exec(name)?.[1];
    const text = /^'(.*)'$/.exec(value)?.[1];
    return header !== undefined && text !== undefined ? [[header, text] as const] : [];
  });
  return Object.fromEntries(headers);
}
