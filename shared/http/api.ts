/** The shapes of a request and an answer of the REST API, and the one middleware chain around every route. */
import middy from '@middy/core';
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda';
import { ForbiddenError, NotFoundError, TokenExpiredError } from '../errors.ts';
import { log, withTraceId } from '../logger.ts';
import { type Route, routes, type Scope } from '../routes.ts';
import type { Answer } from './answer.ts';
import { toProblem } from './problem.ts';

/** What the authorizer said of the caller; every value is text in API Gateway. */
type Identity = {
  readonly sub: string;
  readonly scope: string;
  readonly client: string;
  /** When the token ends, in seconds since 1970. */
  readonly exp: string;
};

export type ApiRequest = APIGatewayProxyEvent;

/** How a function answers its routes. Each caller's token was looked at before. */
export type Answers<Name extends string> = Readonly<Record<Name, (request: ApiRequest) => Promise<Answer>>>;

/** Who calls, on a route that asks for a token. */
export function callerOf(request: ApiRequest): Identity {
  return request.requestContext.authorizer as Identity;
}

/**
 * The function's handler: finds the route, lets in whom its declaration allows, turns errors into answers, and hands on the
 * metrics beside the work.
 */
export function apiHandler<Name extends string>(
  answers: Answers<Name>,
  flushMetrics: () => Promise<void>,
  declared: Readonly<Record<Name, Route>> = routes as Readonly<Record<string, Route>>,
) {
  const chain = middy()
    .use(withMetrics(flushMetrics))
    .use(answered())
    .handler(async (request: ApiRequest, _context: Context): Promise<APIGatewayProxyResult> => {
      const name = `${request.httpMethod} ${request.resource}` as Name;
      if (!Object.hasOwn(answers, name)) throw new NotFoundError('There is nothing at this address.');
      const { scope } = declared[name];
      if (scope !== null) requireScope(request, scope);
      return answers[name](request);
    });
  return (request: ApiRequest, context: Context): Promise<APIGatewayProxyResult> =>
    withTraceId(traceIdOf(request), () => chain(request, context));
}

/**
 * Throws `TokenExpiredError` and `ForbiddenError`, unless the token has not ended and has the scope. API Gateway keeps the
 * authorizer's answer for minutes, whatever the token's own end says.
 */
function requireScope(request: ApiRequest, required: Scope): void {
  const identity: Identity | null | undefined = callerOf(request);
  if (identity && !(Date.now() < Number(identity.exp) * 1_000)) throw new TokenExpiredError();
  if (!identity?.scope.split(' ').includes(required)) throw new ForbiddenError(required);
}

type ApiMiddleware = middy.MiddlewareObj<ApiRequest, APIGatewayProxyResult>;

function traceIdOf(request: ApiRequest): string {
  return request.requestContext.requestId;
}

/** Started with the request and awaited before its answer: what is left behind when a container freezes is lost. */
function withMetrics(flushMetrics: () => Promise<void>): ApiMiddleware {
  // By request: another one may be under way in this process.
  const flushes = new WeakMap<ApiRequest, Promise<void>>();
  const wait = ({ event }: { event: ApiRequest }) => flushes.get(event);
  return {
    before: ({ event }) => void flushes.set(event, flushMetrics()),
    after: wait,
    onError: wait,
  };
}

/** The only place where an error becomes an answer. */
function answered(): ApiMiddleware {
  return {
    after: (call) => {
      if (call.response) call.response = withStandardHeaders(call.response, traceIdOf(call.event));
    },
    onError: (call) => {
      const traceId = traceIdOf(call.event);
      const problem = toProblem(call.error, traceId);
      logProblem(problem.statusCode, call.error);
      call.response = withStandardHeaders(problem, traceId);
    },
  };
}

/** A caller's mistake is logged in a line; a stack only helps with mistakes of ours. */
function logProblem(status: number, error: Error | null | undefined): void {
  if (status >= 500) log.error('request.failed', 'A request could not be answered.', { status, error });
  else log.info('request.refused', 'A request was refused.', { status, reason: error?.message });
}

/** A new one: the same answer may be given to several requests. */
function withStandardHeaders(answer: APIGatewayProxyResult, traceId: string): APIGatewayProxyResult {
  return { ...answer, headers: { 'cache-control': 'no-store', ...answer.headers, 'x-trace-id': traceId } };
}
