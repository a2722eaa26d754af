/** Tokens as issuers make them: who gets in is decided here, with keys fetched over HTTP from this machine. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTokenVerifier } from '../../../functions/authorizer/token-verifier.ts';

const ISSUER = 'https://issuer.example.com';
const AUDIENCE = 'api';

let server: Server;
let privateKey: CryptoKey;
let verify: (token: string) => Promise<unknown>;

beforeAll(async () => {
  const pair = await generateKeyPair('RS256', { extractable: true });
  privateKey = pair.privateKey;
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  server = createServer((_, response) => void response.end(JSON.stringify({ keys: [jwk] })));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  verify = createTokenVerifier({ issuer: ISSUER, audience: AUDIENCE, jwksUri });
});
afterAll(() => void server.close());

/** `undefined` leaves a claim out. */
type Claims = Readonly<Record<string, unknown>>;

function sign(claims: Claims): Promise<string> {
  return new SignJWT({
    iss: ISSUER,
    sub: 'alice',
    aud: AUDIENCE,
    exp: Math.floor(Date.now() / 1000) + 60,
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .sign(privateKey);
}

describe('a token', () => {
  it('says who calls, what it may do, and which client it was issued to', async () => {
    const token = await sign({ scope: 'users:read cache:admin', client_id: 'oncall' });
    expect(await verify(token)).toEqual({ sub: 'alice', scope: 'users:read cache:admin', client: 'oncall' });
  });

  it('may name its client as the authorized party, and no scope', async () => {
    const token = await sign({ azp: 'console' });
    expect(await verify(token)).toEqual({ sub: 'alice', scope: '', client: 'console' });
  });

  it('of Cognito names its client instead of an audience', async () => {
    const token = await sign({ aud: undefined, client_id: AUDIENCE, token_use: 'access' });
    expect(await verify(token)).toMatchObject({ client: AUDIENCE });
  });

  it.each<[string, Claims]>([
    ['for another audience', { aud: 'other' }],
    ['for another audience, whose client has our name', { aud: 'other', client_id: AUDIENCE }],
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
      audience: AUDIENCE,
      jwksUri: 'http://192.0.2.1/jwks',
    });
    await expect(remote(await sign({}))).rejects.toThrow();
  });
});
