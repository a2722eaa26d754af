/** Errors as answers: RFC 9457 problem details, in which the caller finds what was wrong and what to do, and nothing of the inside. */
import {
  DatabaseUnavailableError,
  ForbiddenError,
  InvalidInputError,
  InvocationError,
  isOurFault,
  NotFoundError,
  TokenExpiredError,
  TooManyRequestsError,
  WarmupRunningError,
} from '../errors.ts';
import type { Answer } from './answer.ts';

type Problem = {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** Members of their own, as the RFC allows. */
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
};

/** A moment in which a database fails over or Redis restarts. */
export const RETRY_AFTER_SECONDS = 2;

export function toProblem(error: unknown, traceId: string): Answer {
  const { status, title, detail, facts, headers } = describe(error);
  return {
    statusCode: status,
    headers: { 'content-type': 'application/problem+json', ...headers },
    body: JSON.stringify({ type: 'about:blank', title, status, detail, traceId, ...facts }),
  };
}

function describe(error: unknown): Problem {
  if (error instanceof InvalidInputError) {
    const { field, expected } = error;
    const facts = { errors: [{ field, expected }] };
    return { status: 400, title: 'Bad Request', detail: error.message, facts };
  }
  if (error instanceof TokenExpiredError) {
    const headers = { 'www-authenticate': 'Bearer error="invalid_token"' };
    return { status: 401, title: 'Unauthorized', detail: error.message, headers };
  }
  if (error instanceof ForbiddenError) {
    return { status: 403, title: 'Forbidden', detail: error.message };
  }
  if (error instanceof NotFoundError) {
    return { status: 404, title: 'Not Found', detail: error.message };
  }
  if (error instanceof WarmupRunningError) {
    const facts = { holderTraceId: error.holderTraceId };
    return { status: 409, title: 'Conflict', detail: error.message, facts };
  }
  if (error instanceof TooManyRequestsError) return describeLimit(error);
  if (isOurFault(error)) return describeUnavailable(error);
  return {
    status: 500,
    title: 'Internal Server Error',
    detail: 'This is our fault. Tell us the traceId, and we find out what happened.',
  };
}

/** What a caller is told is away. The error's own words are for operators: they name functions and settings. */
function whatIsAway(error: Error): string {
  if (error instanceof InvocationError) return 'The warm-up could not be run.';
  return error instanceof DatabaseUnavailableError ? 'Postgres did not answer.' : 'Redis did not answer.';
}

function describeUnavailable(error: Error): Problem {
  return {
    status: 503,
    title: 'Service Unavailable',
    detail: `${whatIsAway(error)} Try again in a moment.`,
    headers: { 'retry-after': String(RETRY_AFTER_SECONDS) },
  };
}

function describeLimit(error: TooManyRequestsError): Problem {
  return {
    status: 429,
    title: 'Too Many Requests',
    detail: error.message,
    headers: {
      'retry-after': String(error.retryAfterSeconds),
      ratelimit: `"${error.policy}";r=0;t=${error.retryAfterSeconds}`,
      'ratelimit-policy': `"${error.policy}";q=${error.limit};w=${error.windowSeconds}`,
    },
  };
}
