/** API Gateway on this machine: route, authorizer, limits, request validator, function, in this order, as the template says. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { ApiSpec, RouteSpec } from '../../assembly/api-spec.ts';
import type { Outcome } from '../containers/container.ts';
import type { Functions } from '../containers/containers.ts';
import { BodyTooLarge, ClientGone, type HttpAnswer, listen } from '../http.ts';
import { logLine } from '../log-line.ts';
import { within } from '../time-limit.ts';
import { type Authorize, type Caller, createAuthorization } from './authorization.ts';
import { compress } from './compression.ts';
import { answerFromFunction, answerFromRefusal } from './gateway-answer.ts';
import { findHeader, type HttpRequest, readRequest } from './http-request.ts';
import { createProxyEvent, methodArn } from './proxy-event.ts';
import { Refusal } from './refusal.ts';
import { matchRoute } from './routes.ts';
import { createStageThrottles, createUsagePlans, type UsagePlans } from './usage-plan.ts';
import { validate } from './validation.ts';

type GatewayOptions = {
  readonly api: ApiSpec;
  readonly functions: Pick<Functions, 'invoke'>;
  readonly port: number;
  readonly log: (line: string) => void;
};

type Gateway = GatewayOptions & {
  readonly authorize: Authorize;
  readonly usagePlans: UsagePlans;
  readonly admitToStage: (method: string) => boolean;
};

/** Whatever the port: one may be forwarded from another. */
const LOOPBACK_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/i;

/** Listens on the loopback interface. @throws when the port is taken. */
export async function startGateway(options: GatewayOptions): Promise<Server> {
  const gateway: Gateway = {
    ...options,
    authorize: createAuthorization(options.functions),
    usagePlans: createUsagePlans(options.api.usagePlans),
    admitToStage: createStageThrottles(options.api.stageThrottles),
  };
  return await listen(options.port, async (incoming) => {
    const requestId = randomUUID();
    const answer = await answerSafely(gateway, incoming, requestId);
    return answer && { ...answer, headers: { 'x-amzn-requestid': requestId, ...answer.headers } };
  });
}

/** The one place where errors become answers; undefined when nobody is left to hear one. */
async function answerSafely(
  gateway: Gateway,
  incoming: IncomingMessage,
  requestId: string,
): Promise<HttpAnswer | undefined> {
  const { api, log } = gateway;
  const { method = '', url = '', headers } = incoming;
  try {
    // A web page can have its own name lead here; its browser then takes the answers for the page's, which may read them.
    if (!LOOPBACK_HOST.test(headers.host ?? ''))
      throw new Refusal('FOREIGN_HOST', 'The header Host must name 127.0.0.1, localhost or [::1]');
    return await answer(gateway, await readRequest(incoming, requestId));
  } catch (error) {
    const facts = { method, url };
    if (error instanceof ClientGone) {
      log(logLine('info', error.message, requestId, { source: 'gateway', ...facts }));
      return undefined;
    }
    const refusal = toRefusal(error);
    const { type, message, status } = refusal;
    if (status >= 500) log(logLine('error', message, requestId, { source: 'gateway', type, ...facts }));
    const path = url.split('?')[0] ?? '';
    return answerFromRefusal(refusal, api, { requestId, httpMethod: method, path, stage: api.stageName });
  }
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof BodyTooLarge) return new Refusal('REQUEST_TOO_LARGE', 'Request Too Long');
  return new Refusal('FUNCTION_FAILED', error instanceof Error ? error.message : String(error));
}

async function answer(gateway: Gateway, request: HttpRequest): Promise<HttpAnswer> {
  const { api, functions } = gateway;
  const match = matchRoute(api.routes, request.method, request.path);
  if (!match) throw new Refusal('MISSING_AUTHENTICATION_TOKEN', 'Missing Authentication Token');
  const { integration, validation } = match.route;
  const caller = await authorize(gateway, request, match.route);
  admit(gateway, request, match.route, caller);
  if (validation) validate(request, validation);
  if (integration.kind === 'unsupported') throw notImplemented(integration.what);
  const event = JSON.stringify(createProxyEvent(request, match, api, caller?.context));
  const invocation = functions.invoke(integration.functionName, event, 'RequestResponse');
  // The function runs on, as it does in an account; only the caller stops waiting.
  const outcome = await within(integration.timeoutMs, invocation, () => {
    throw new Refusal('INTEGRATION_TIMEOUT', 'Endpoint request timed out');
  });
  if (!outcome) throw notImplemented(`a function that the template lacks (${integration.functionName})`);
  return compress(
    answerFromOutcome(outcome),
    findHeader(request, 'accept-encoding'),
    api.minCompressionBytes,
  );
}

async function authorize(gateway: Gateway, request: HttpRequest, { authorization }: RouteSpec) {
  if (authorization.kind === 'none') return undefined;
  if (authorization.kind === 'unsupported') throw notImplemented(authorization.what);
  const token = findHeader(request, authorization.header);
  return gateway.authorize(authorization, token, methodArn(request, gateway.api));
}

function admit(gateway: Gateway, request: HttpRequest, route: RouteSpec, caller: Caller | undefined): void {
  const method = `${route.path}/${route.method}`;
  if (route.apiKeyRequired) {
    const isOfCaller = gateway.api.keySource === 'AUTHORIZER';
    const key = isOfCaller ? caller?.usageKey : findHeader(request, 'x-api-key');
    const verdict = gateway.usagePlans.admit(key, method);
    if (verdict === 'unknown-key') throw new Refusal('INVALID_API_KEY', 'Forbidden');
    if (verdict === 'throttled') throw new Refusal('THROTTLED', 'Too Many Requests');
    if (verdict === 'quota-exceeded') throw new Refusal('QUOTA_EXCEEDED', 'Limit Exceeded');
  }
  if (!gateway.admitToStage(method)) throw new Refusal('THROTTLED', 'Too Many Requests');
}

function answerFromOutcome(outcome: Outcome): HttpAnswer {
  if (outcome.kind === 'answered') return answerFromFunction(outcome.payload);
  const { errorType, errorMessage } = outcome.error;
  // A function that times out has failed, to API Gateway; 504 is kept for its own limit.
  const type = outcome.kind === 'throttled' ? 'FUNCTION_THROTTLED' : 'FUNCTION_FAILED';
  throw new Refusal(type, `${errorType}: ${errorMessage}`);
}

function notImplemented(what: string): Refusal {
  return new Refusal('NOT_IMPLEMENTED', `The local runner does not implement ${what}`);
}
