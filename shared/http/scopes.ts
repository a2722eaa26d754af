/** What a token's scopes allow: for the authorizer's policy at the edge, and for the functions, which check again. */

/** By scope, the methods and paths that it opens, as a policy of API Gateway writes them; `*` is any text. */
const OPENED = {
  'users:read': ['GET/users', 'GET/users/*'],
  'cache:admin': ['GET/admin/*', 'POST/admin/*'],
} as const satisfies Record<string, readonly string[]>;

export type Scope = keyof typeof OPENED;

/** What the scopes of a token, separated by blanks, open; those of others open nothing. */
export function openedBy(scopes: string): string[] {
  const opened = new Set(scopes.split(' ').filter((scope) => Object.hasOwn(OPENED, scope)));
  return [...opened].flatMap((scope) => OPENED[scope as Scope]);
}
