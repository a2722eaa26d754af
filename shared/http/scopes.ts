/** What a token's scopes open, for the authorizer's policy at the edge; the functions check each route's scope again. */
import { type Route, routes, type Scope, scopes } from '../routes.ts';

/** What the scopes of a token, separated by blanks, open; those of others open nothing. */
export function openedBy(granted: string): string[] {
  const known = new Set(granted.split(' ').filter((scope) => Object.hasOwn(scopes, scope)));
  return [...known].flatMap((scope) => pathsOf(scope as Scope));
}

/** Methods and paths as a policy of API Gateway writes them: `GET/users/*`, where `*` is any text. */
function pathsOf(scope: Scope): string[] {
  const declared: [string, Route][] = Object.entries(routes);
  return declared
    .filter(([, route]) => route.scope === scope)
    .map(([name]) => name.replace(' ', '').replaceAll(/\{[^}]+\}/g, '*'));
}
