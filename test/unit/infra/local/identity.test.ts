/** The behaviour of infra/local/identity.ts. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { loadOrCreateIdentity, signToken } from '../../../../infra/local/identity.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-identity-'));

afterAll(() => rmSync(dir, { recursive: true }));

describe('the identity', () => {
  it('is made once, even when two start at the same time, for its owner only', async () => {
    const stateDir = join(dir, 'twice');
    const [one, two] = await Promise.all([loadOrCreateIdentity(stateDir), loadOrCreateIdentity(stateDir)]);

    expect(one).toEqual(two);
    expect(await loadOrCreateIdentity(stateDir)).toEqual(one);
    expect(readdirSync(stateDir)).toEqual(['.prewarm-state', 'identity.json']);
    expect(statSync(join(stateDir, 'identity.json')).mode & 0o777).toBe(0o600);
  });

  it('publishes no private part', async () => {
    const { jwks } = await loadOrCreateIdentity(join(dir, 'once'));

    expect(jwks.keys[0]).toHaveProperty('kid');
    expect(jwks.keys[0]).not.toHaveProperty('d');
  });

  it('signs tokens that its public key verifies', async () => {
    const identity = await loadOrCreateIdentity(join(dir, 'once'));
    const token = await signToken(identity, { sub: 'alice', scope: 'users:read', client: 'oncall' });
    const options = { issuer: 'https://prewarm.local', audience: 'prewarm-api' };
    const { payload } = await jwtVerify(token, createLocalJWKSet(identity.jwks as JSONWebKeySet), options);

    expect(payload).toMatchObject({ sub: 'alice', scope: 'users:read', client_id: 'oncall' });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3600);
  });

  it('signs expired tokens and ones without an end, for tests', async () => {
    const identity = await loadOrCreateIdentity(join(dir, 'once'));

    expect(decodeJwt(await signToken(identity, { expiresIn: '-5m' })).exp).toBeLessThan(Date.now() / 1000);
    expect(decodeJwt(await signToken(identity, { expiresIn: null }))).not.toHaveProperty('exp');
    await expect(signToken(identity, { expiresIn: 'soon' })).rejects.toThrow('"soon" is no time span');
  });
});

describe('the token command', () => {
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['infra/local/token.ts', ...args], {
      env: { ...process.env, PREWARM_STATE_DIR: join(dir, 'command') },
    });

  it('prints one token and nothing else, before anything was started', async () => {
    const { stdout, stderr } = await run(
      '--sub',
      'alice',
      '--scope',
      'users:read cache:admin',
      '--audience',
      'other',
    );

    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(stderr).toBe('');
    expect(decodeJwt(stdout.trim())).toMatchObject({
      sub: 'alice',
      scope: 'users:read cache:admin',
      aud: 'other',
    });
  });

  it.each([[['--wrong']], [['--sub']], [['alice']], [['--expires-in', 'soon']]])(
    'answers %j with one line and exit code 1',
    async (args) => {
      const error = await run(...args).catch((reason: unknown) => reason);

      expect(error).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^[^\n]+\n$/) });
    },
  );
});
