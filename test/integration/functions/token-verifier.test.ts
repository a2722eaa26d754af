/** Tokens as issuers make them: who gets in is decided here, with keys fetched over HTTP from this machine. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTokenVerifier, type TokenClaims } from '../../../functions/authorizer/token-verifier.ts';

const ISSUER = 'https://issuer.example.com';
const AUDIENCE = 'api';
const OTHER_AUDIENCE = 'console';

let server: Server;
let privateKey: CryptoKey;
let jwksUri: string;
let verify: (token: string) => Promise<TokenClaims>;

beforeAll(async () => {
  const pair = await generateKeyPair('RS256', { extractable: true });
  privateKey = pair.privateKey;
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  server = createServer((_, response) => void response.end(JSON.stringify({ keys: [jwk] })));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  verify = createTokenVerifier({ issuer: ISSUER, audiences: [AUDIENCE, OTHER_AUDIENCE], jwksUri });
});
afterAll(() => void server.close());

/** `undefined` leaves a claim out. */
type Claims = Readonly<Record<string, unknown>>;

function sign(claims: Claims): Promise<string> {
  return new SignJWT({
    iss: ISSUER,
    sub: 'alice',
    aud: AUDIENCE,
    exp: Math.floor(Date.now() / 1000) + 3_600,
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
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

  it('of Cognito names its client instead of an audience', async () => {
    const token = await sign({ aud: undefined, client_id: AUDIENCE, token_use: 'access' });
    expect(await verify(token)).toMatchObject({ client: AUDIENCE });
  });

  it.each<[string, Claims]>([
    ['for any of the audiences', { aud: OTHER_AUDIENCE }],
    ['for several, of which one is ours', { aud: ['other', OTHER_AUDIENCE] }],
    ['of Cognito, of any of the clients', { aud: undefined, client_id: OTHER_AUDIENCE }],
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
  ])('%s is refused', async (_, claims) => {
    await expect(verify(await sign(claims))).rejects.toThrow();
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
    await expect(remote(await sign({}))).rejects.toMatchObject({ code: 'ERR_INVALID_PROTOCOL' });
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
