/** Makes the HTTP answers of the gateway: from what a function returned, and from the template's gateway responses. */
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import * as z from 'zod/mini';
import type { ApiSpec, GatewayResponseSpec } from '../../assembly/api-spec.ts';
import type { HttpAnswer } from '../http.ts';
import { Refusal } from './refusal.ts';

/** What `$context.…` may name in a gateway response. */
type GatewayContext = Readonly<Record<string, string>>;

/** What a proxy integration must return. */
const proxyResponse = z.object({
  statusCode: z.coerce.number().check(z.int(), z.gte(200), z.lte(599)),
  headers: z.nullish(z.record(z.string(), z.unknown())),
  multiValueHeaders: z.nullish(z.record(z.string(), z.array(z.unknown()))),
  body: z.nullish(z.string()),
});

/** API Gateway keeps these for itself; a function's own come out under another name. */
const remapped = new Set(['connection', 'content-length', 'date', 'server', 'www-authenticate']);

/** @throws Refusal (502) when the function's payload is not what a proxy integration must return. */
export function answerFromFunction(payload: string): HttpAnswer {
  const { success, data } = proxyResponse.safeParse(JSON.parse(payload));
  if (!success) throw malformed('');
  return { status: data.statusCode, headers: mergeHeaders(data), body: data.body ?? '' };
}

/** Of a name in both, the lists' values count. A header that HTTP does not allow is the function's mistake, not a crash of the runner. */
function mergeHeaders(response: z.infer<typeof proxyResponse>): HttpAnswer['headers'] {
  const { headers, multiValueHeaders } = response;
  const merged: Record<string, string | string[]> = { 'content-type': 'application/json' };
  const single = Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)] as const);
  const multiple = Object.entries(multiValueHeaders ?? {}).map(
    ([name, all]) => [name, all.map(String)] as const,
  );
  for (const [header, value] of [...single, ...multiple]) {
    const name = header.toLowerCase();
    try {
      validateHeaderName(name);
      for (const each of [value].flat()) validateHeaderValue(name, each);
    } catch (error) {
      throw malformed(`: ${(error as Error).message}`);
    }
    merged[remapped.has(name) ? `x-amzn-remapped-${name}` : name] = value;
  }
  return merged;
}

function malformed(why: string): Refusal {
  return new Refusal('FUNCTION_FAILED', `Malformed Lambda proxy response${why}`);
}

const plain: GatewayResponseSpec = {
  headers: {},
  template: '{"message":$context.error.messageString}',
};

/** The gateway response of this type, or the default one of its class, or API Gateway's own. */
export function answerFromRefusal(
  refusal: Refusal,
  api: Pick<ApiSpec, 'gatewayResponses'>,
  context: GatewayContext,
): HttpAnswer {
  const { type, status } = refusal;
  if (type === 'NOT_IMPLEMENTED' || type === 'FOREIGN_HOST') return problem(refusal, context);
  const fallback = status < 500 ? 'DEFAULT_4XX' : 'DEFAULT_5XX';
  const spec = api.gatewayResponses.get(type) ?? api.gatewayResponses.get(fallback) ?? plain;
  const message = status < 500 ? refusal.message : 'Internal server error'; // the cause is for the log only
  const variables: GatewayContext = {
    ...context,
    'error.message': message,
    'error.messageString': JSON.stringify(message),
    'error.responseType': type,
  };
  const headers = Object.entries(spec.headers).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    status: spec.status ?? status,
    headers: {
      'content-type': 'application/json', // unless the gateway response has a header of its own
      'x-amzn-errortype': type,
      ...Object.fromEntries(headers),
    },
    // Variables that are not known here become empty, as in API Gateway.
    body: spec.template.replace(
      /\$context\.([A-Za-z]\w*(?:\.\w+)*)/g,
      (_, name: string) => variables[name] ?? '',
    ),
  };
}

function problem({ message, status }: Refusal, { requestId }: GatewayContext): HttpAnswer {
  const title = STATUS_CODES[status];
  const body = { type: 'about:blank', title, status, detail: message, traceId: requestId };
  return { status, headers: { 'content-type': 'application/problem+json' }, body: JSON.stringify(body) };
}
