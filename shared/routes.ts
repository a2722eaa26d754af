/**
 * The whole API, each route declared once: the template, the functions, and what the scopes of a token open are made of this.
 * CDK reads it too, so it imports nothing.
 */

/** What a token can allow, as the issuer describes it. A scope that ends in `:read` is given to every client, another one to admins. */
export const scopes = {
  'users:read': 'Read users',
  'cache:admin': 'See, warm and clear the cache',
} as const;

export type Scope = keyof typeof scopes;

export type HttpMethod = 'GET' | 'POST';

export type Route = {
  /** The function that answers it. `search` is the code of `read`, in containers of its own and with its own throttle. */
  readonly answeredBy: 'read' | 'search' | 'admin';
  /** What the caller's token must allow; with null anybody may ask, without a token. */
  readonly scope: Scope | null;
  /** Query parameters without which API Gateway refuses a request. @default none */
  readonly requiredQuery?: readonly string[];
  /** Whether API Gateway refuses a body that is no JSON object. @default false */
  readonly takesJson?: boolean;
  /** Counted exactly, per subject. @default none but the throttle of its function */
  readonly limit?: CallLimit;
};

/** How many calls a minute one subject may make; the name is that of the policy in the headers of a 429. */
export type CallLimit = { readonly name: string; readonly callsPerMinute: number };

export const routes = {
  'GET /health': { answeredBy: 'read', scope: null },
  'GET /users': { answeredBy: 'read', scope: 'users:read', requiredQuery: ['ids'] },
  'GET /users/{id}': { answeredBy: 'read', scope: 'users:read' },
  'GET /users/search': { answeredBy: 'search', scope: 'users:read', requiredQuery: ['q'] },
  'GET /admin/status': {
    answeredBy: 'admin',
    scope: 'cache:admin',
    limit: { name: 'status', callsPerMinute: 5 },
  },
  'POST /admin/warm-up': {
    answeredBy: 'admin',
    scope: 'cache:admin',
    limit: { name: 'warm-up', callsPerMinute: 2 },
  },
  'POST /admin/clear': {
    answeredBy: 'admin',
    scope: 'cache:admin',
    takesJson: true,
    limit: { name: 'clear', callsPerMinute: 2 },
  },
} as const satisfies Readonly<Record<`${HttpMethod} /${string}`, Route>>;

/** The method and the path, as API Gateway gives them to a function. */
type RouteName = keyof typeof routes;

/** The routes that a function's code answers. */
export type RoutesOf<Function extends Route['answeredBy']> = {
  [Name in RouteName]: (typeof routes)[Name]['answeredBy'] extends Function ? Name : never;
}[RouteName];
