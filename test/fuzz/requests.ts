/** Generated requests and tokens: every route and method, well-formed and odd, and what each may be answered at most. */
import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import type { TokenClaims } from '../../infra/local/identity.ts';

type FuzzToken =
  | { readonly kind: 'none' }
  /** Sent as it is. */
  | { readonly kind: 'text'; readonly text: string }
  /** Signed by the issuer. */
  | { readonly kind: 'signed'; readonly claims: TokenClaims }
  /** A valid one, made another by `change`. */
  | { readonly kind: 'changed'; readonly change: (token: string) => string };

export type FuzzRequest = {
  readonly method: string;
  /** With its query, percent-encoded where it has to be. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly token: FuzzToken;
};

/** What a valid token of this request may do: nothing, unless it was signed and has not ended. */
export function scopesOf({ token }: FuzzRequest): readonly string[] {
  if (token.kind !== 'signed') return [];
  const { scope = '', expiresIn = '1h', audience, issuer } = token.claims;
  const isValid =
    expiresIn !== null && !expiresIn.startsWith('-') && audience === undefined && issuer === undefined;
  return isValid ? scope.split(' ') : [];
}

const text = fc.oneof(
  fc.string({ maxLength: 80, unit: 'binary' }),
  fc.string({ maxLength: 80, unit: 'grapheme' }),
  fc.constantFrom(
    '',
    ' ',
    '%',
    '%00',
    '%%',
    '\\',
    "'",
    '";--',
    '../admin/clear',
    '..%2f',
    '\u0130',
    'ß',
    '{users}',
    '__proto__',
  ),
);
const id = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 30_000 }).map(String) },
  fc.constantFrom(
    '0',
    '-1',
    '01',
    '1.0',
    '1e3',
    ' 1',
    '１',
    '9007199254740991',
    '9007199254740992',
    '1,2',
    'NaN',
    '%31',
  ),
  text,
);
const query = fc.oneof(
  { weight: 3, arbitrary: fc.string({ minLength: 2, maxLength: 6, unit: fc.constantFrom(...'aeinorst ') }) },
  text,
);
const cursor = fc.oneof(
  fc.tuple(fc.nat(3_000_000_000), fc.nat(90_000)).map(([followers, last]) => `${followers}-${last}`),
  text,
);
const limit = fc.oneof(fc.integer({ min: -1, max: 60 }).map(String), text);
const encoded = (value: fc.Arbitrary<string>) => value.map((raw) => encodeURIComponent(raw.toWellFormed()));

const search = fc
  .record({
    q: query,
    limit: fc.option(limit, { nil: undefined }),
    cursor: fc.option(cursor, { nil: undefined }),
  })
  .map((fields) => {
    const given = Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined);
    return `/users/search?${given.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join('&')}`;
  });
const path = fc.oneof(
  { weight: 4, arbitrary: encoded(id).map((each) => `/users/${each}`) },
  {
    weight: 3,
    arbitrary: fc
      .array(id, { maxLength: 110 })
      .map((ids) => `/users?ids=${encodeURIComponent(ids.join(',').toWellFormed())}`),
  },
  { weight: 3, arbitrary: search },
  fc.constantFrom(
    '/',
    '/users',
    '/users/',
    '/users/search',
    '/health',
    '/admin',
    '/admin/status',
    '/admin/warm-up',
    '/admin/clear',
    '//admin/clear',
    '/users/1/',
    '/users/%2e%2e/admin/clear',
    '/live/users/1',
  ),
  encoded(text).map((each) => `/${each}`),
);

const header = fc.string({
  maxLength: 40,
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
});
const headers = fc
  .record(
    {
      prefer: fc.oneof(
        fc.nat(99_999).map((wait) => `wait=${wait}`),
        header,
      ),
      'content-type': header,
      accept: header,
      'accept-encoding': fc.constantFrom('gzip', 'deflate', 'br', '*', ';q=', ''),
      'x-api-key': header,
      'x-amz-invocation-type': header,
      'x-forwarded-for': header,
    },
    { requiredKeys: [] },
  )
  .map((given) => given as Record<string, string>);

const body = fc.oneof(
  fc.constant(undefined),
  fc.json(),
  text,
  fc
    .record({ dataset: text, ids: fc.array(fc.integer(), { maxLength: 120 }) }, { requiredKeys: [] })
    .map((each) => JSON.stringify(each)),
  fc.constant(`[${'['.repeat(5_000)}`),
);

const encodePart = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
const withPart = (place: 0 | 1, change: (part: Record<string, unknown>) => unknown) => (token: string) => {
  const parts = token.split('.');
  parts[place] = encodePart(change(JSON.parse(Buffer.from(parts[place] ?? '', 'base64url').toString())));
  return parts.join('.');
};
/** None of these lets anybody in. */
const changes: fc.Arbitrary<(token: string) => string> = fc.oneof(
  fc
    .integer({ min: 1, max: 6_000 })
    .map((length) => withPart(1, (claims) => ({ ...claims, iss: `${length}${'x'.repeat(length)}` }))),
  fc
    .dictionary(
      fc.constantFrom('sub', 'aud', 'exp', 'scope', 'client_id', 'azp', 'iss', '__proto__'),
      fc.jsonValue(),
      { minKeys: 1 },
    )
    .map((claims) => withPart(1, (given) => ({ ...given, ...claims, jti: 'changed' }))),
  fc.constantFrom<(token: string) => string>(
    withPart(0, (given) => ({ ...given, alg: 'none' })),
    withPart(0, (given) => ({ ...given, crit: ['exp'] })),
    withPart(0, (given) => ({ ...given, b64: false })),
    withPart(0, (given) => ({ ...given, kid: 'x'.repeat(500) })),
    withPart(0, () => []),
    withPart(1, () => null),
    (token) => `${token}x`,
    (token) => token.slice(0, -8),
    (token) => token.split('.').slice(0, 2).join('.'),
    (token) => `${token}.${token}`,
    (token) => {
      const signed = `${encodePart({ alg: 'HS256', kid: 'k' })}.${token.split('.')[1]}`;
      return `${signed}.${createHmac('sha256', 'key').update(signed).digest('base64url')}`;
    },
  ),
);

const claims = fc.record({
  sub: fc.oneof(
    fc.constantFrom('alice', 'bob'),
    fc.string({ minLength: 1, maxLength: 2_000, unit: 'grapheme' }),
  ),
  scope: fc.constantFrom('users:read', 'cache:admin', 'users:read cache:admin', '', 'users:write', 'cache:*'),
  client: fc.constantFrom('default', 'oncall', 'console', 'ci', 'nobody', '__proto__', 'constructor'),
});
const token: fc.Arbitrary<FuzzToken> = fc.oneof(
  {
    weight: 6,
    arbitrary: claims.map(
      (each): FuzzToken => ({ kind: 'signed', claims: { ...each, scope: 'users:read' } }),
    ),
  },
  { weight: 3, arbitrary: claims.map((each): FuzzToken => ({ kind: 'signed', claims: each })) },
  { weight: 3, arbitrary: changes.map((change): FuzzToken => ({ kind: 'changed', change })) },
  fc.constantFrom<FuzzToken>(
    { kind: 'none' },
    { kind: 'signed', claims: { expiresIn: '-1m', scope: 'users:read cache:admin' } },
    { kind: 'signed', claims: { expiresIn: null, scope: 'users:read cache:admin' } },
    { kind: 'signed', claims: { audience: 'other', scope: 'users:read cache:admin' } },
    { kind: 'signed', claims: { issuer: 'https://other.example', scope: 'users:read cache:admin' } },
  ),
  header.map((each): FuzzToken => ({ kind: 'text', text: each })),
);

export const requests: fc.Arbitrary<FuzzRequest> = fc.record({
  method: fc.oneof(
    { weight: 8, arbitrary: fc.constant('GET') },
    { weight: 2, arbitrary: fc.constant('POST') },
    fc.constantFrom('PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'),
  ),
  path,
  headers,
  body,
  token,
});
