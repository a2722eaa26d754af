/** The behaviour of infra/local/gateway/routes.ts. */
import { describe, expect, it } from 'vitest';
import type { RouteSpec } from '../../../../../infra/assembly/api-spec.ts';
import { matchRoute } from '../../../../../infra/local/gateway/routes.ts';

const routes = [
  route('GET', '/'),
  route('GET', '/users'),
  route('GET', '/users/{id}'),
  route('GET', '/users/search'),
  route('POST', '/users/{id}/tags/{tag}'),
  route('ANY', '/files/{path+}'),
  route('GET', '/files/index'),
];

function route(method: string, path: string): RouteSpec {
  return {
    method,
    path,
    apiKeyRequired: false,
    authorization: { kind: 'none' },
    integration: { kind: 'lambda', functionName: path, timeoutMs: 1000 },
  };
}

describe('matchRoute', () => {
  it.each([
    ['GET', '/', '/', {}],
    ['GET', '/users', '/users', {}],
    ['GET', '/users/7', '/users/{id}', { id: '7' }],
    ['GET', '/users/a%2Fb%20c', '/users/{id}', { id: 'a%2Fb%20c' }],
    ['GET', '/users/search', '/users/search', {}],
    ['POST', '/users/7/tags/x', '/users/{id}/tags/{tag}', { id: '7', tag: 'x' }],
    ['DELETE', '/files/a/b', '/files/{path+}', { path: 'a/b' }],
    ['GET', '/files/index', '/files/index', {}],
  ])('%s %s is %s', (method, path, expected, parameters) => {
    const match = matchRoute(routes, method, path);

    expect(match?.route.path).toBe(expected);
    expect(match?.parameters).toEqual(parameters);
  });

  it.each([
    ['GET', '/nowhere'],
    ['POST', '/users'],
    ['GET', '/users/'],
    ['GET', '/users/7/more'],
    ['GET', '/files/'],
    // The resource /users/search has no POST; that /users/{id} might have one does not matter.
    ['POST', '/users/search'],
  ])('%s %s has no route', (method, path) => {
    expect(matchRoute(routes, method, path)).toBeUndefined();
  });
});
