/** What API Gateway itself answers (no token, too many requests, unknown path): RFC 9457 problems like those of the functions. */
import { type GatewayResponseOptions, ResponseType } from 'aws-cdk-lib/aws-apigateway';
import { type Route, routes, scopes } from '../../shared/routes.ts';
import type { StageConfig } from '../stage-config.ts';

type Throttles = Pick<StageConfig, 'readThrottle' | 'searchThrottle'>;

type Answer = {
  readonly type: ResponseType;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What a function would say of the field. */
  readonly errors?: readonly { readonly field: string; readonly expected: string }[];
};

/**
 * What API Gateway found wrong, in quotes of its own and escaped, so it is the one variable that can be told of a request
 * whatever the request has in it: `$context.error.validationErrorString`, which says more, is text as it is.
 */
const quotedMessage = '$context.error.messageString';

const contentType = 'application/problem+json';

/**
 * The limits as IETF draft headers; static, because a gateway response cannot know which method was called. So they name
 * all policies, and the shortest time after which trying again makes sense, which is that of reads; for the admin actions
 * the function's own count tells the exact time.
 */
function tooManyRequests({ readThrottle, searchThrottle }: Throttles): Omit<Answer, 'type'> {
  const counted = Object.values<Route>(routes).flatMap(({ limit }) =>
    limit === undefined ? [] : [`"${limit.name}";q=${limit.callsPerMinute};w=60`],
  );
  return {
    status: 429,
    title: 'Too Many Requests',
    detail:
      'Too many requests: reads or searches of a second, admin calls of a minute, or requests without a token.',
    headers: {
      'Retry-After': '1',
      RateLimit: '"client";r=0;t=1',
      'RateLimit-Policy': [
        `"client";q=${readThrottle.ratePerSecond};w=1`,
        `"search";q=${searchThrottle.ratePerSecond};w=1`,
        ...counted,
      ].join(', '),
    },
  };
}

/** For what the scopes are needed: the first part of the paths that each opens. */
function neededScopes(): string {
  const declared = Object.entries<Route>(routes);
  return Object.keys(scopes)
    .map((scope) => {
      const paths = declared.filter(([, route]) => route.scope === scope).map(([name]) => firstPartOf(name));
      return `${scope} for ${[...new Set(paths)].join(' and ')}`;
    })
    .join(', ');
}

function firstPartOf(route: string): string {
  return /\/[^/]*/.exec(route)?.[0] ?? '/';
}

const answers: readonly Answer[] = [
  {
    // Names what is missing: `Missing required request parameters: [q]`.
    type: ResponseType.BAD_REQUEST_PARAMETERS,
    status: 400,
    title: 'Bad Request',
    detail: quotedMessage,
  },
  {
    type: ResponseType.BAD_REQUEST_BODY,
    status: 400,
    title: 'Bad Request',
    detail: 'The body must be a JSON object.',
    errors: [{ field: 'body', expected: 'a JSON object' }],
  },
  {
    type: ResponseType.UNAUTHORIZED,
    status: 401,
    title: 'Unauthorized',
    detail: 'Send a valid token as "Authorization: Bearer …".',
    headers: { 'WWW-Authenticate': 'Bearer' },
  },
  {
    type: ResponseType.ACCESS_DENIED,
    status: 403,
    title: 'Forbidden',
    detail: `This token lacks the scope: ${neededScopes()}.`,
    headers: { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' },
  },
  {
    type: ResponseType.INVALID_API_KEY,
    status: 403,
    title: 'Forbidden',
    detail: 'This client has no usage plan.',
  },
  {
    type: ResponseType.WAF_FILTERED,
    status: 403,
    title: 'Forbidden',
    detail: 'The firewall refused this request: for what is in it, or for how many come from its address.',
  },
  {
    // What API Gateway calls a missing token is a path or a method that no resource has.
    type: ResponseType.MISSING_AUTHENTICATION_TOKEN,
    status: 404,
    title: 'Not Found',
    detail: 'There is no such path or method.',
  },
  {
    type: ResponseType.QUOTA_EXCEEDED,
    status: 429,
    title: 'Too Many Requests',
    detail: 'This client has used up its quota.',
  },
  {
    type: ResponseType.INTEGRATION_TIMEOUT,
    status: 504,
    title: 'Gateway Timeout',
    detail: 'The answer took too long; try again.',
  },
];

/** Without a status of their own, so that API Gateway keeps the one it chose. The body cannot know it. */
const fallbacks = [
  { type: ResponseType.DEFAULT_4XX, title: 'Bad Request', detail: 'The request was not accepted.' },
  { type: ResponseType.DEFAULT_5XX, title: 'Server Error', detail: 'The service failed; try again later.' },
];

/** Every gateway response of the API, by its type's name. */
export function gatewayResponses(throttles: Throttles): Record<string, GatewayResponseOptions> {
  const throttled = { ...tooManyRequests(throttles), type: ResponseType.THROTTLED };
  return Object.fromEntries(
    [...answers, throttled, ...fallbacks].map((answer) => [answer.type.responseType, respond(answer)]),
  );
}

function respond(answer: Omit<Answer, 'status'> & { status?: number }): GatewayResponseOptions {
  return {
    type: answer.type,
    ...(answer.status && { statusCode: String(answer.status) }),
    responseHeaders: quote({ 'Content-Type': contentType, 'Cache-Control': 'no-store', ...answer.headers }),
    // API Gateway takes the template of this name whatever a request accepts; the header says what it is.
    templates: { 'application/json': problem(answer) },
  };
}

/** A static value of a mapping stands in single quotes; without them it would be a reference to the request. */
function quote(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, `'${value}'`]));
}

/** The trace id is in the body only: a gateway response's header takes static values and parts of the request. */
function problem({
  status,
  title,
  detail,
  errors,
}: Omit<Answer, 'type' | 'status'> & { status?: number }): string {
  const fields = { type: 'about:blank', title, status, detail, traceId: '$context.requestId', errors };
  return JSON.stringify(fields).replace(`"${quotedMessage}"`, quotedMessage);
}
