/** Finds the route of a request as API Gateway does: fixed segments before {parameters}, those before a greedy {proxy+}. */
import type { RouteSpec } from '../../assembly/api-spec.ts';

export type RouteMatch = { readonly route: RouteSpec; readonly parameters: Readonly<Record<string, string>> };

/**
 * The route and its path parameters, still percent-encoded: a REST API hands them to the function as they were sent.
 * Undefined when no resource has this path and method.
 */
export function matchRoute(
  routes: readonly RouteSpec[],
  method: string,
  path: string,
): RouteMatch | undefined {
  const segments = split(path);
  const matches = routes.flatMap((route) => {
    const parameters = matchPath(split(route.path), segments);
    return parameters ? [{ route, parameters }] : [];
  });
  // The most specific resource decides, even when it lacks the method that a less specific one has.
  const best = matches.map(({ route }) => route.path).sort(compareSpecificity)[0];
  const candidates = matches.filter(({ route }) => route.path === best);
  return (
    candidates.find(({ route }) => route.method === method) ??
    candidates.find(({ route }) => route.method === 'ANY')
  );
}

function split(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

function matchPath(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const name = /^\{(.+?)(\+?)\}$/.exec(part);
    const rest = name?.[2] ? segments.slice(index).join('/') : (segments[index] ?? '');
    if (name ? rest === '' : part !== segments[index]) return undefined;
    if (name?.[1]) parameters[name[1]] = rest;
    if (name?.[2]) return parameters;
  }
  return pattern.length === segments.length ? parameters : undefined;
}

/** Compares segment by segment: fixed 0, parameter 1, greedy 2. */
function compareSpecificity(left: string, right: string): number {
  const [a, b] = [rank(left), rank(right)];
  return a < b ? -1 : Number(a > b);
}

function rank(path: string): string {
  return split(path)
    .map((part) => (part.endsWith('+}') ? '2' : part.startsWith('{') ? '1' : '0'))
    .join('');
}
