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
  const matches = routes.flatMap((route) => {
    const parameters = matchPath(split(route.path), split(path));
    return parameters ? [{ route, parameters, rank: rankOf(route.path) }] : [];
  });
  // The most specific resource decides, even when it lacks the method that a less specific one has.
  const best = matches.map(({ rank }) => rank).sort()[0];
  const candidates = matches.filter(({ rank }) => rank === best);
  const withMethod = (name: string) => candidates.find(({ route }) => route.method === name);
  return withMethod(method) ?? withMethod('ANY');
}

function split(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

function matchPath(pattern: readonly string[], segments: readonly string[]) {
  const parameters: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const [, name, greedy] = /^\{(.+?)(\+?)\}$/.exec(part) ?? [];
    const rest = greedy ? segments.slice(index).join('/') : (segments[index] ?? '');
    if (name ? rest === '' : part !== segments[index]) return undefined;
    if (name) parameters[name] = rest;
    if (greedy) return parameters;
  }
  return pattern.length === segments.length ? parameters : undefined;
}

/** Segment by segment: fixed 0, parameter 1, greedy 2. */
function rankOf(path: string): string {
  const ranks = split(path).map((part) => (part.endsWith('+}') ? '2' : part.startsWith('{') ? '1' : '0'));
  return ranks.join('');
}
