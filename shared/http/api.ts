/** The shapes of a request and an answer of the REST API, and the one middleware chain around every route. */
import middy from '@middy/core';
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda';
import { ForbiddenError, NotFoundError } from '../errors.ts';
import { log, setTraceId } from '../logger.ts';
import { toProblem } from './problem.ts';

/** What the authorizer said of the caller; every value is text in API Gateway. */
type Identity = { readonly sub: string; readonly scope: string; readonly client: string };

export type ApiRequest = APIGatewayProxyEvent;
export type Answer = { statusCode: number; headers: Record<string, string>; body: string };
/** Keyed by method and resource, as the template declares them: `GET /users/{id}`. */
export type Routes = Readonly<Record<string, (request: ApiRequest) => Promise<Answer>>>;

/** `json` is the text of the body: encoded values go through as they are. */
export function answerJson(json: string, headers: Record<string, string> = {}, statusCode = 200): Answer {
  return { statusCode, headers: { 'content-type': 'application/json', ...headers }, body: json };
}

/** The caller, if the token's scopes allow what `requiredScope` stands for. Throws `ForbiddenError`. */
export function requireScope(request: ApiRequest, requiredScope: string): Identity {
  const identity = request.requestContext.authorizer as Identity | null | undefined;
  if (!identity?.scope.split(' ').includes(requiredScope)) throw new ForbiddenError(requiredScope);
  return identity;
}

/** The function's handler: finds the route, turns errors into answers, and hands on the metrics beside the work. */
export function apiHandler(routes: Routes, flushMetrics: () => Promise<void>) {
  return middy()
    .use(traced())
    .use(withMetrics(flushMetrics))
    .use(answered())
    .handler(async (request: ApiRequest, _context: Context): Promise<APIGatewayProxyResult> => {
      const route = routes[`${request.httpMethod} ${request.resource}`];
      if (route === undefined) throw new NotFoundError('There is nothing at this address.');
      return route(request);
    });
}

type ApiMiddleware = middy.MiddlewareObj<ApiRequest, APIGatewayProxyResult>;

function traceIdOf(request: ApiRequest): string {
  return request.requestContext.requestId;
}

function traced(): ApiMiddleware {
  return { before: ({ event }) => setTraceId(traceIdOf(event)) };
}

/** Started with the request and awaited before its answer: what is left behind when a container freezes is lost. */
function withMetrics(flushMetrics: () => Promise<void>): ApiMiddleware {
  let flush = Promise.resolve();
  const wait = () => flush;
  return {
    before: () => {
      flush = flushMetrics();
    },
    after: wait,
    onError: wait,
  };
}

/** The only place where an error becomes an answer. */
function answered(): ApiMiddleware {
  return {
    after: (call) => {
      if (call.response) addStandardHeaders(call.response, traceIdOf(call.event));
    },
    onError: (call) => {
      const traceId = traceIdOf(call.event);
      const problem = toProblem(call.error, traceId);
      const level = problem.statusCode >= 500 ? 'error' : 'info';
      log[level]('A request was not answered as asked.', { status: problem.statusCode, error: call.error });
      addStandardHeaders(problem, traceId);
      call.response = problem;
    },
  };
}

function addStandardHeaders(answer: APIGatewayProxyResult, traceId: string): void {
  answer.headers = { 'cache-control': 'no-store', ...answer.headers, 'x-trace-id': traceId };
}
