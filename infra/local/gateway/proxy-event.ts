/** The event of a REST API's Lambda proxy integration (format 1.0), made from an HTTP request. */
import type { ApiSpec } from '../../assembly/api-spec.ts';
import { localAccount, localRegion } from '../../assembly/intrinsics.ts';
import { findHeader, type HttpRequest } from './http-request.ts';
import type { RouteMatch } from './routes.ts';

/** What the authorizer told about the caller. */
export type AuthorizerContext = Readonly<Record<string, string | number>>;

export function createProxyEvent(
  request: HttpRequest,
  { route, parameters }: RouteMatch,
  { apiId, stageName }: ApiSpec,
  authorizer: AuthorizerContext | undefined,
): object {
  const { requestId, method, path, headers, receivedAtMs, body } = request;
  const query = [...new URLSearchParams(request.query)];
  return {
    resource: route.path,
    path,
    httpMethod: method,
    headers: single(headers),
    multiValueHeaders: multiple(headers),
    queryStringParameters: single(query),
    multiValueQueryStringParameters: multiple(query),
    pathParameters: orNull(parameters),
    stageVariables: null,
    requestContext: {
      accountId: localAccount,
      apiId,
      domainName: findHeader(request, 'host') ?? '',
      extendedRequestId: requestId,
      httpMethod: method,
      path: `/${stageName}${path}`,
      protocol: 'HTTP/1.1',
      requestId,
      requestTime: new Date(receivedAtMs).toUTCString(),
      requestTimeEpoch: receivedAtMs,
      resourceId: route.path,
      resourcePath: route.path,
      stage: stageName,
      identity: { sourceIp: request.sourceIp, userAgent: findHeader(request, 'user-agent') ?? null },
      ...(authorizer && { authorizer }),
    },
    body: body.length > 0 ? body.toString('utf8') : null,
    isBase64Encoded: false,
  };
}

/** The ARN by which policies name this request. */
export function methodArn({ method, path }: HttpRequest, { apiId, stageName }: ApiSpec): string {
  return `arn:aws:execute-api:${localRegion}:${localAccount}:${apiId}/${stageName}/${method}${path}`;
}

type Pairs = readonly (readonly [string, string])[];

/** Of repeated names the last counts. */
function single(pairs: Pairs): Record<string, string> | null {
  return orNull(Object.fromEntries(pairs));
}

function multiple(pairs: Pairs): Record<string, string[]> | null {
  const lists = Map.groupBy(pairs, ([name]) => name);
  return orNull(Object.fromEntries([...lists].map(([name, list]) => [name, list.map(([, value]) => value)])));
}

/** API Gateway says null where there is nothing. */
function orNull<T extends object>(fields: T): T | null {
  return Object.keys(fields).length > 0 ? fields : null;
}
