/** The event of a REST API's Lambda proxy integration (format 1.0), made from an HTTP request. */
import type { ApiSpec } from '../../assembly/api-spec.ts';
import { localAccount, localRegion } from '../../assembly/intrinsics.ts';
import { findHeader, type HttpRequest } from './http-request.ts';
import type { RouteMatch } from './routes.ts';

/** What the authorizer told about the caller. */
export type AuthorizerContext = Readonly<Record<string, string | number>>;

export function createProxyEvent(
  request: HttpRequest,
  match: RouteMatch,
  api: ApiSpec,
  authorizer: AuthorizerContext | undefined,
): object {
  const query = [...new URLSearchParams(request.query)];
  return {
    resource: match.route.path,
    path: request.path,
    httpMethod: request.method,
    headers: single(request.headers),
    multiValueHeaders: multiple(request.headers),
    queryStringParameters: single(query),
    multiValueQueryStringParameters: multiple(query),
    pathParameters: orNull(match.parameters),
    stageVariables: null,
    requestContext: createRequestContext(request, match, api, authorizer),
    ...encodeBody(request, api.binaryMediaTypes),
  };
}

function createRequestContext(
  request: HttpRequest,
  { route }: RouteMatch,
  { apiId, stageName }: ApiSpec,
  authorizer: AuthorizerContext | undefined,
): object {
  return {
    accountId: localAccount,
    apiId,
    domainName: findHeader(request, 'host') ?? '',
    extendedRequestId: request.requestId,
    httpMethod: request.method,
    path: `/${stageName}${request.path}`,
    protocol: 'HTTP/1.1',
    requestId: request.requestId,
    requestTime: new Date(request.receivedAtMs).toUTCString(),
    requestTimeEpoch: request.receivedAtMs,
    resourceId: route.path,
    resourcePath: route.path,
    stage: stageName,
    identity: { sourceIp: request.sourceIp, userAgent: findHeader(request, 'user-agent') ?? null },
    ...(authorizer && { authorizer }),
  };
}

/** The ARN by which policies name this request. */
export function methodArn({ method, path }: HttpRequest, { apiId, stageName }: ApiSpec): string {
  return `arn:aws:execute-api:${localRegion}:${localAccount}:${apiId}/${stageName}/${method}${path}`;
}

/** Of repeated names the last counts. */
function single(pairs: readonly (readonly [string, string])[]): Record<string, string> | null {
  return orNull(Object.fromEntries(pairs));
}

function multiple(pairs: readonly (readonly [string, string])[]): Record<string, string[]> | null {
  const lists = new Map<string, string[]>();
  for (const [name, value] of pairs) lists.set(name, [...(lists.get(name) ?? []), value]);
  return orNull(Object.fromEntries(lists));
}

/** API Gateway says null where there is nothing. */
function orNull<T extends object>(fields: T): T | null {
  return Object.keys(fields).length > 0 ? fields : null;
}

function encodeBody(request: HttpRequest, binaryMediaTypes: readonly string[]) {
  const isBase64Encoded = isBinary(findHeader(request, 'content-type'), binaryMediaTypes);
  const text = request.body.toString(isBase64Encoded ? 'base64' : 'utf8');
  return { body: request.body.length > 0 ? text : null, isBase64Encoded };
}

/** Whether a media type (the first of a list) is one of those that the API calls binary. */
export function isBinary(mediaType: string | undefined, binaryMediaTypes: readonly string[]): boolean {
  const first = mediaType?.split(/[,;]/)[0]?.trim();
  return binaryMediaTypes.includes('*/*') || (first !== undefined && binaryMediaTypes.includes(first));
}
