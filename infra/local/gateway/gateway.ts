/** API Gateway on this machine: route, authorizer, limits, request validator, function, in this order, as the template says. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ApiSpec, RouteSpec } from '../../assembly/api-spec.ts';
import type { Outcome } from '../containers/container.ts';
import type { Functions } from '../containers/containers.ts';
import { type Level, logLine } from '../log-line.ts';
import { type Authorize, type Caller, createAuthorization } from './authorization.ts';
import { compress } from './compression.ts';
import {
  answerFromFunction,
  answerFromRefusal,
  type GatewayContext,
  type HttpAnswer,
} from './gateway-answer.ts';
import { BodyTooLarge, ClientGone } from './http-body.ts';
import { findHeader, type HttpRequest, readRequest } from './http-request.ts';
import { createProxyEvent, isBinary, methodArn } from './proxy-event.ts';
import { Refusal } from './refusal.ts';
import { matchRoute, type RouteMatch } from './routes.ts';
import { createStageThrottles, createUsagePlans, type UsagePlans } from './usage-plan.ts';
import { validate } from './validation.ts';

export type GatewayOptions = {
  readonly api: ApiSpec;
  readonly functions: Pick<Functions, 'invoke'>;
  readonly port: number;
  readonly log: (line: string) => void;
  /** Milliseconds, for limits and what is remembered. @default - the wall clock */
  readonly now?: () => number;
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
    authorize: createAuthorization(options.functions, options.now),
    usagePlans: createUsagePlans(options.api.usagePlans, options.now),
    admitToStage: createStageThrottles(options.api.stageThrottles, options.now),
  };
  const server = createServer((request, response) => void handle(gateway, request, response));
  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function handle(gateway: Gateway, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const requestId = randomUUID();
  const answer = await answerSafely(gateway, incoming, requestId);
  if (!answer) return;
  response.statusCode = answer.status;
  response.setHeaders(new Map(Object.entries({ 'x-amzn-requestid': requestId, ...answer.headers })));
  response.end(incoming.method === 'HEAD' ? undefined : answer.body);
}

/** The one place where errors become answers; undefined when nobody is left to hear one. */
async function answerSafely(
  gateway: Gateway,
  incoming: IncomingMessage,
  requestId: string,
): Promise<HttpAnswer | undefined> {
  try {
    checkHost(incoming);
    return await answer(gateway, await readRequest(incoming, requestId));
  } catch (error) {
    if (error instanceof ClientGone) {
      gateway.log(describe('info', error.message, incoming, requestId));
      return undefined;
    }
    const refusal = toRefusal(error);
    const { type, message, status } = refusal;
    if (status >= 500) gateway.log(describe('error', message, incoming, requestId, { type }));
    return answerFromRefusal(refusal, gateway.api, contextOf(gateway, incoming, requestId));
  }
}

/** A web page can have its own name lead to this address; its browser then takes the answers for the page's, which may read them. */
function checkHost({ headers }: IncomingMessage): void {
  if (!LOOPBACK_HOST.test(headers.host ?? ''))
    throw new Refusal('FOREIGN_HOST', 'The header Host must name 127.0.0.1, localhost or [::1]');
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof BodyTooLarge) return new Refusal('REQUEST_TOO_LARGE', 'Request Too Long');
  return new Refusal('FUNCTION_FAILED', error instanceof Error ? error.message : String(error));
}

function describe(
  level: Level,
  message: string,
  { method, url }: IncomingMessage,
  traceId: string,
  facts: object = {},
): string {
  return logLine(level, message, traceId, { source: 'gateway', ...facts, method, url });
}

function contextOf(
  { api }: Gateway,
  { method = '', url = '' }: IncomingMessage,
  requestId: string,
): GatewayContext {
  return { requestId, httpMethod: method, path: url.split('?')[0] ?? '', stage: api.stageName };
}

async function answer(gateway: Gateway, request: HttpRequest): Promise<HttpAnswer> {
  const match = matchRoute(gateway.api.routes, request.method, request.path);
  if (!match) throw new Refusal('MISSING_AUTHENTICATION_TOKEN', 'Missing Authentication Token');
  const caller = await authorize(gateway, request, match.route);
  admit(gateway, request, match.route, caller);
  if (match.route.validation) validate(request, match.route.validation);
  const outcome = await integrate(gateway, request, match, caller);
  const { binaryMediaTypes, minCompressionBytes } = gateway.api;
  const whole = answerFromOutcome(outcome, isBinary(findHeader(request, 'accept'), binaryMediaTypes));
  return compress(whole, findHeader(request, 'accept-encoding'), minCompressionBytes);
}

async function authorize(
  gateway: Gateway,
  request: HttpRequest,
  route: RouteSpec,
): Promise<Caller | undefined> {
  const { authorization } = route;
  if (authorization.kind === 'none') return undefined;
  if (authorization.kind === 'unsupported') throw notImplemented(authorization.what);
  return gateway.authorize(
    authorization,
    findHeader(request, authorization.header),
    methodArn(request, gateway.api),
  );
}

function admit(gateway: Gateway, request: HttpRequest, route: RouteSpec, caller: Caller | undefined): void {
  const method = `${route.path}/${route.method}`;
  if (route.apiKeyRequired) admitByKey(gateway, request, method, caller);
  if (!gateway.admitToStage(method)) throw new Refusal('THROTTLED', 'Too Many Requests');
}

function admitByKey(
  gateway: Gateway,
  request: HttpRequest,
  method: string,
  caller: Caller | undefined,
): void {
  const key = gateway.api.keySource === 'AUTHORIZER' ? caller?.usageKey : findHeader(request, 'x-api-key');
  const verdict = gateway.usagePlans.admit(key, method);
  if (verdict === 'unknown-key') throw new Refusal('INVALID_API_KEY', 'Forbidden');
  if (verdict === 'throttled') throw new Refusal('THROTTLED', 'Too Many Requests');
  if (verdict === 'quota-exceeded') throw new Refusal('QUOTA_EXCEEDED', 'Limit Exceeded');
}

async function integrate(
  gateway: Gateway,
  request: HttpRequest,
  match: RouteMatch,
  caller: Caller | undefined,
): Promise<Outcome> {
  const { integration } = match.route;
  if (integration.kind === 'unsupported') throw notImplemented(integration.what);
  const event = JSON.stringify(createProxyEvent(request, match, gateway.api, caller?.context));
  const invocation = gateway.functions.invoke(integration.functionName, event, 'RequestResponse');
  const outcome = await withDeadline(invocation, integration.timeoutMs);
  if (!outcome) throw notImplemented(`a function that the template lacks (${integration.functionName})`);
  return outcome;
}

/** The function runs on, as it does in an account; only the caller stops waiting. */
async function withDeadline<T>(work: Promise<T>, limitMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Refusal('INTEGRATION_TIMEOUT', 'Endpoint request timed out')),
    limitMs,
  );
  return await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

function answerFromOutcome(outcome: Outcome, acceptsBinary: boolean): HttpAnswer {
  if (outcome.kind === 'answered') return answerFromFunction(outcome.payload, acceptsBinary);
  const { errorType, errorMessage } = outcome.error;
  // A function that times out has failed, to API Gateway; 504 is kept for its own limit.
  const type = outcome.kind === 'throttled' ? 'FUNCTION_THROTTLED' : 'FUNCTION_FAILED';
  throw new Refusal(type, `${errorType}: ${errorMessage}`);
}

function notImplemented(what: string): Refusal {
  return new Refusal('NOT_IMPLEMENTED', `The local runner does not implement ${what}`);
}
