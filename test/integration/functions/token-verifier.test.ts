/** Tokens as issuers make them: who gets in is decided here, with keys fetched over HTTP from this machine. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createTokenVerifier, type TokenClaims } from '../../../functions/authorizer/token-verifier.ts';
import { IssuerUnavailableError, TokenRefusedError } from '../../../shared/errors.ts';

const ISSUER = 'https://issuer.example.com';
const COGNITO = 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab12Cd34E';
const AUDIENCE = 'api';
const OTHER_AUDIENCE = 'console';

let server: Server;
let privateKey: CryptoKey;
let jwksUri: string;
let verify: (token: string) => Promise<TokenClaims>;
let keySet: string;
/** What the issuer answers, and how often it was asked. */
let issuerSays: string;
let asked = 0;

beforeAll(async () => {
  const pair = await generateKeyPair('RS256', { extractable: true });
  privateKey = pair.privateKey;
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  keySet = JSON.stringify({ keys: [jwk] });
  issuerSays = keySet;
  server = createServer((_, response) => {
    asked++;
    response.end(issuerSays);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  verify = createTokenVerifier({ issuer: ISSUER, audiences: [AUDIENCE, OTHER_AUDIENCE], jwksUri });
});
afterEach(() => {
  issuerSays = keySet;
  vi.useRealTimers();
});
afterAll(() => void server.close());

const audiences = [AUDIENCE, OTHER_AUDIENCE];
const newVerifier = (issuer = ISSUER) => createTokenVerifier({ issuer, audiences, jwksUri });

/** `undefined` leaves a claim out. */
type Claims = Readonly<Record<string, unknown>>;

function sign(claims: Claims, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
  return new SignJWT({
    iss: ISSUER,
    sub: 'alice',
    aud: AUDIENCE,
    exp: Math.floor(Date.now() / 1000) + 3_600,
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1', ...header })
    .sign(privateKey);
}

describe('a token', () => {
  it('says who calls, what it may do, and which client it was issued to', async () => {
    const token = await sign({ scope: 'users:read cache:admin', client_id: 'oncall' });
    expect(await verify(token)).toEqual({
      sub: 'alice',
      scope: 'users:read cache:admin',
      client: 'oncall',
      exp: expect.any(Number),
    });
  });

  it('may name its client as the authorized party, and no scope', async () => {
    const token = await sign({ azp: 'console' });
    expect(await verify(token)).toMatchObject({ sub: 'alice', scope: '', client: 'console' });
  });

  it.each(['JWT', 'jwt', 'at+jwt', 'application/at+jwt'])('may say that it is one: %s', async (typ) => {
    expect(await verify(await sign({}, { typ }))).toMatchObject({ sub: 'alice' });
  });

  it('of Cognito names its client instead of an audience', async () => {
    const claims = { aud: undefined, client_id: AUDIENCE, token_use: 'access' };
    const verifyCognito = newVerifier(COGNITO);
    expect(await verifyCognito(await sign({ ...claims, iss: COGNITO }))).toMatchObject({ client: AUDIENCE });
    const other = await sign({ ...claims, iss: COGNITO, client_id: OTHER_AUDIENCE });
    expect(await verifyCognito(other)).toMatchObject({ client: OTHER_AUDIENCE });
    await expect(verify(await sign(claims))).rejects.toBeInstanceOf(TokenRefusedError);
  });

  it.each<[string, Claims]>([
    ['for any of the audiences', { aud: OTHER_AUDIENCE }],
    ['for several, of which one is ours', { aud: ['other', OTHER_AUDIENCE] }],
  ])('%s is accepted', async (_, claims) => {
    expect(await verify(await sign(claims))).toMatchObject({ sub: 'alice' });
  });

  it.each<[string, Claims]>([
    ['for another audience', { aud: 'other' }],
    ['for another audience, whose client has our name', { aud: 'other', client_id: AUDIENCE }],
    ['for an audience that only begins like ours', { aud: `${AUDIENCE}-2` }],
    ['for a list of audiences as one text', { aud: `${AUDIENCE},${OTHER_AUDIENCE}` }],
    ['for nobody in particular', { aud: undefined }],
    ['of another issuer', { iss: 'https://other.example.com' }],
    ['that has expired', { exp: 1 }],
    ['that never expires', { exp: undefined }],
    ['of nobody', { sub: undefined }],
    ['of an empty subject', { sub: '' }],
    ['of a list of clients', { client_id: ['oncall'] }],
    ['of a list of authorized parties', { azp: ['oncall'] }],
    ['with a list of scopes', { scope: ['cache:admin'] }],
    ['that expires at a text', { exp: '9999999999' }],
    ['that expires in milliseconds', { exp: Date.now() + 3_600_000 }],
    ['that is bound to a key', { cnf: { jkt: 'thumbprint' } }],
    ['that is longer than API Gateway would take', { note: 'x'.repeat(8_192) }],
  ])('%s is refused', async (_, claims) => {
    await expect(verify(await sign(claims))).rejects.toThrow();
  });

  it.each<[string, Partial<JWTHeaderParameters>]>([
    ['an extension that is said to be critical', { crit: ['b64'], b64: true }],
    ['a payload that is not encoded', { b64: false }],
    ['another purpose', { typ: 'logout+jwt' }],
  ])('with %s is refused before it is looked at', async (_, header) => {
    const [, payload, signature] = (await sign({})).split('.');
    const forged = Buffer.from(JSON.stringify({ alg: 'RS256', kid: 'k1', ...header })).toString('base64url');
    const refusal = verify([forged, payload, signature].join('.'));
    await expect(refusal).rejects.toBeInstanceOf(TokenRefusedError);
  });

  it('of ever other issuers, which need no valid signature, leaves nothing in memory', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const tokens = Array.from({ length: 2_000 }, (_, number) =>
      [encode({ alg: 'RS256', kid: 'k1' }), encode({ iss: `${number}${'x'.repeat(5_000)}` }), 'AAAA'].join(
        '.',
      ),
    );
    await verify(await sign({}));
    collect();
    const before = process.memoryUsage().heapUsed;
    for (const token of tokens) await expect(verify(token)).rejects.toBeInstanceOf(TokenRefusedError);
    collect();
    // What is kept of them would be 10 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(3_000_000);
  });

  it('with a shared secret is refused, whatever it says', async () => {
    const secret = new TextEncoder().encode('x'.repeat(32));
    const token = await new SignJWT({ iss: ISSUER, sub: 'alice', aud: AUDIENCE, exp: 9_999_999_999 })
      .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
      .sign(secret);
    await expect(verify(token)).rejects.toThrow();
  });

  it('is not verified with keys that came in the clear from elsewhere', async () => {
    const remote = createTokenVerifier({
      issuer: ISSUER,
      audiences: [AUDIENCE],
      jwksUri: 'http://192.0.2.1/jwks',
    });
    const cause = { message: expect.stringContaining('TLS') };
    await expect(remote(await sign({}))).rejects.toMatchObject({ cause });
  });
});

describe('an issuer', () => {
  const NOT_KEYS = [
    '<html>Bad Gateway</html>',
    '{"keys":[]}',
    '{}',
    'null',
    '',
    '{"keys":[null]}',
    '{"keys":[{}]}',
    '{"keys":{"length":1}}',
    '{"keys":[{"kid":"k1","kty":"oct","k":"c2VjcmV0"}]}',
    '{"keys":[{"kid":"k1","kty":"RSA","e":"AQAB","n":""}]}',
    '{"keys":[{"kid":"k1","kty":"EC","crv":"P-256","x":"AA"}]}',
  ];

  it.each(NOT_KEYS)(
    'that answers %j for its keys is away, which is no fault of the token',
    async (answer) => {
      issuerSays = answer;
      await expect(newVerifier()(await sign({}))).rejects.toBeInstanceOf(IssuerUnavailableError);
    },
  );

  it.each(NOT_KEYS)('that begins to answer %j takes no key away that is known', async (answer) => {
    const verifyToken = newVerifier();
    await verifyToken(await sign({}));
    issuerSays = answer;
    const unknown = verifyToken(await sign({}, { kid: 'k2' }));
    await expect(unknown).rejects.toBeInstanceOf(IssuerUnavailableError);
    expect(await verifyToken(await sign({}))).toMatchObject({ sub: 'alice' });
  });

  it('that is away is not asked by each caller', async () => {
    issuerSays = '';
    const verifyToken = newVerifier();
    const before = asked;
    for (let calls = 0; calls < 5; calls++) await expect(verifyToken(await sign({}))).rejects.toThrow();
    expect(asked - before).toBe(1);
  });

  it.each([
    ['is not whole', (key: object) => ({ keys: [null, {}, { ...key, kid: undefined }, key] })],
    ['is for encryption', (key: object) => ({ keys: [{ ...key, use: 'enc' }, key] })],
  ])('one of whose keys %s is used for the others', async (_, change) => {
    issuerSays = JSON.stringify(change(JSON.parse(keySet).keys[0]));
    expect(await newVerifier()(await sign({}))).toMatchObject({ sub: 'alice' });
  });

  it('that gave its key for something else for a moment is believed again soon after', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const verifyToken = newVerifier();
    await verifyToken(await sign({}));
    issuerSays = keySet.replace('"sig"', '"enc"');
    await expect(verifyToken(await sign({}, { kid: 'unknown' }))).rejects.toBeInstanceOf(
      IssuerUnavailableError,
    );
    issuerSays = keySet;
    expect(await verifyToken(await sign({}))).toMatchObject({ sub: 'alice' });
  });

  it('that puts another key in the place of one of the same name is followed, and the old one ends', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const verifyToken = newVerifier();
    const old = await sign({ exp: Math.floor(Date.now() / 1000) + 86_400 });
    await verifyToken(old);
    const next = await generateKeyPair('RS256', { extractable: true });
    const jwk = { ...(await exportJWK(next.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
    issuerSays = JSON.stringify({ keys: [jwk] });
    vi.advanceTimersByTime(10_000);
    const signed = new SignJWT({
      iss: ISSUER,
      sub: 'bob',
      aud: AUDIENCE,
      exp: Math.floor(Date.now() / 1000) + 60,
    })
      .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
      .sign(next.privateKey);
    expect(await verifyToken(await signed)).toMatchObject({ sub: 'bob' });
    await expect(verifyToken(old)).rejects.toThrow();
  });

  it.each([
    ['another algorithm', { alg: 'RS512' }],
    ['an algorithm that is none', { alg: 5 }],
  ])('that says %s of its key for a moment is believed again after ten seconds', async (_, change) => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const [key] = JSON.parse(keySet).keys;
    const verifyToken = newVerifier();
    await verifyToken(await sign({}));
    vi.advanceTimersByTime(3_600_000);
    issuerSays = JSON.stringify({ keys: [{ ...key, ...change }] });
    await verifyToken(await sign({})).catch(() => undefined);
    issuerSays = keySet;
    vi.advanceTimersByTime(10_000);
    expect(await verifyToken(await sign({}))).toMatchObject({ sub: 'alice' });
  });

  it('whose set has a key for encryption of the same name first is understood', async () => {
    const [key] = JSON.parse(keySet).keys;
    issuerSays = JSON.stringify({ keys: [{ ...key, use: undefined, alg: 'RSA-OAEP' }, key] });
    expect(await newVerifier()(await sign({}))).toMatchObject({ sub: 'alice' });
  });

  it('that gets a new key is asked for it ten seconds after somebody made one up, also by a frozen container', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const verifyToken = newVerifier();
    await verifyToken(await sign({}));
    await expect(verifyToken(await sign({}, { kid: 'made-up' }))).rejects.toThrow();
    issuerSays = keySet.replace('"k1"', '"k2"');
    vi.advanceTimersByTime(10_000);
    expect(await verifyToken(await sign({}, { kid: 'k2' }))).toMatchObject({ sub: 'alice' });
  });

  it('whose answer has no end is not read to its end', async () => {
    issuerSays = `{"keys":[${'1,'.repeat(1_000_000)}1]}`;
    const away = newVerifier()(await sign({}));
    await expect(away).rejects.toMatchObject({ cause: { message: expect.stringContaining('too large') } });
  });

  it('with a key of 1,024 bits has none that may be used', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 });
    issuerSays = JSON.stringify({
      keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256' }],
    });
    await expect(newVerifier()(await sign({}))).rejects.toBeInstanceOf(IssuerUnavailableError);
  });

  it('is asked again every hour, so that a key it has withdrawn ends; away, it is believed further', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const verifyToken = newVerifier();
    const token = await sign({ exp: Math.floor(Date.now() / 1000) + 86_400 });
    await verifyToken(token);
    vi.advanceTimersByTime(3_600_000);
    issuerSays = '';
    expect(await verifyToken(token)).toMatchObject({ sub: 'alice' });
    issuerSays = keySet.replace('"k1"', '"k2"');
    vi.advanceTimersByTime(10_000);
    await expect(verifyToken(token)).rejects.toThrow();
  });
});

describe('the scopes of a token', () => {
  const scopesOf = async (scope: string, scopePrefix?: string): Promise<string> => {
    const rules = { issuer: ISSUER, audiences: [AUDIENCE], jwksUri, scopePrefix };
    return (await createTokenVerifier(rules)(await sign({ scope }))).scope;
  };

  it('lose the prefix that the issuer puts before them', async () => {
    expect(await scopesOf('prewarm/users:read prewarm/cache:admin', 'prewarm/')).toBe(
      'users:read cache:admin',
    );
  });

  it("without the prefix are another API's, and are dropped", async () => {
    expect(await scopesOf('cache:admin other/cache:admin openid prewarm/users:read', 'prewarm/')).toBe(
      'users:read',
    );
    expect(await scopesOf('cache:admin', 'prewarm/')).toBe('');
  });

  it('lose the prefix once', async () => {
    expect(await scopesOf('prewarm/prewarm/cache:admin', 'prewarm/')).toBe('prewarm/cache:admin');
  });

  it('stay as they are when the issuer puts nothing before them', async () => {
    expect(await scopesOf('users:read prewarm/cache:admin')).toBe('users:read prewarm/cache:admin');
  });
});
