/** Makes the HTTP answers of the gateway: from what a function returned, and from the template's gateway responses. */
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import type { ApiSpec, GatewayResponseSpec } from '../../assembly/api-spec.ts';
import { Refusal } from './refusal.ts';

export type HttpAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer | string;
};

/** What `$context.…` may name in a gateway response. */
export type GatewayContext = Readonly<Record<string, string>>;

type ProxyResponse = {
  statusCode: number;
  headers?: Record<string, unknown> | null;
  multiValueHeaders?: Record<string, unknown[]> | null;
  body?: string | null;
  isBase64Encoded?: boolean;
};

/** API Gateway keeps these for itself; a function's own come out under another name. */
const remapped = new Set(['connection', 'content-length', 'date', 'server', 'www-authenticate']);

/** @throws Refusal (502) when the function's payload is not what a proxy integration must return. */
export function answerFromFunction(payload: string, acceptsBinary: boolean): HttpAnswer {
  const response: unknown = JSON.parse(payload);
  if (!isProxyResponse(response)) throw new Refusal('FUNCTION_FAILED', 'Malformed Lambda proxy response');
  const text = response.body ?? '';
  return {
    status: Number(response.statusCode),
    headers: checkHeaders(mergeHeaders(response)),
    body: response.isBase64Encoded && acceptsBinary ? Buffer.from(text, 'base64') : text,
  };
}

function isProxyResponse(value: unknown): value is ProxyResponse {
  if (value === null || typeof value !== 'object') return false;
  const { statusCode, body, headers, multiValueHeaders } = value as Record<string, unknown>;
  const isText = body === undefined || body === null || typeof body === 'string';
  return isStatus(statusCode) && isText && isObject(headers) && isObject(multiValueHeaders);
}

function isStatus(value: unknown): boolean {
  const status = Number(value);
  return value !== null && value !== '' && Number.isInteger(status) && status >= 200 && status <= 599;
}

function isObject(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'object' && !Array.isArray(value));
}

/** Of a name in both, the lists' values count. */
function mergeHeaders({ headers, multiValueHeaders }: ProxyResponse): Record<string, string | string[]> {
  const merged: Record<string, string | string[]> = { 'content-type': 'application/json' };
  for (const [name, value] of Object.entries(headers ?? {})) merged[nameOf(name)] = String(value);
  for (const [name, values] of Object.entries(multiValueHeaders ?? {}))
    merged[nameOf(name)] = values.map(String);
  return merged;
}

/** A header that HTTP does not allow is the function's mistake, not a crash of the runner. */
function checkHeaders(headers: Record<string, string | string[]>): Record<string, string | string[]> {
  try {
    for (const [name, value] of Object.entries(headers)) checkHeader(name, [value].flat());
    return headers;
  } catch (error) {
    throw new Refusal('FUNCTION_FAILED', `Malformed Lambda proxy response: ${(error as Error).message}`);
  }
}

function checkHeader(name: string, values: readonly string[]): void {
  validateHeaderName(name);
  for (const value of values) validateHeaderValue(name, value);
}

function nameOf(header: string): string {
  const name = header.toLowerCase();
  return remapped.has(name) ? `x-amzn-remapped-${name}` : name;
}

/** The gateway response of this type, or the default one of its class, or API Gateway's own. */
export function answerFromRefusal(
  refusal: Refusal,
  api: Pick<ApiSpec, 'gatewayResponses'>,
  context: GatewayContext,
): HttpAnswer {
  if (refusal.type === 'NOT_IMPLEMENTED' || refusal.type === 'FOREIGN_HOST') return problem(refusal, context);
  const fallback = refusal.status < 500 ? 'DEFAULT_4XX' : 'DEFAULT_5XX';
  const spec = api.gatewayResponses.get(refusal.type) ?? api.gatewayResponses.get(fallback) ?? plain;
  const message = refusal.status < 500 ? refusal.message : 'Internal server error'; // the cause is for the log only
  return {
    status: spec.status ?? refusal.status,
    headers: {
      'content-type': 'application/json', // unless the gateway response has a header of its own
      'x-amzn-errortype': refusal.type,
      ...lowerCase(spec.headers),
    },
    body: render(spec.template, {
      ...context,
      'error.message': message,
      'error.messageString': JSON.stringify(message),
      'error.responseType': refusal.type,
    }),
  };
}

const plain: GatewayResponseSpec = {
  headers: {},
  template: '{"message":$context.error.messageString}',
};

function problem({ message, status }: Refusal, { requestId }: GatewayContext): HttpAnswer {
  const title = STATUS_CODES[status];
  const body = { type: 'about:blank', title, status, detail: message, traceId: requestId };
  return { status, headers: { 'content-type': 'application/problem+json' }, body: JSON.stringify(body) };
}

/** Variables that are not known here become empty, as in API Gateway. */
function render(template: string, context: GatewayContext): string {
  return template.replace(/\$context\.([A-Za-z]\w*(?:\.\w+)*)/g, (_, name: string) => context[name] ?? '');
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
