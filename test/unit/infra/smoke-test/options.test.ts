/** What the smoke test is told, and what it says when that is not enough. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readOptions } from '../../../../infra/smoke-test/options.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-smoke-'));
afterAll(() => rmSync(dir, { recursive: true }));

const token = { PREWARM_TOKEN: 'token' };
const client = { PREWARM_CLIENT_ID: 'ci', PREWARM_CLIENT_SECRET: 'secret' };
const api = ['--api', 'https://api.example.com/prod/'];

function outputsFile(outputs: object): string {
  const file = join(dir, 'outputs.json');
  writeFileSync(file, JSON.stringify(outputs));
  return file;
}

describe('the API', () => {
  it('is the one given, without its last slash', () => {
    expect(readOptions(api, token)).toEqual({
      apiUrl: 'https://api.example.com/prod',
      waitMs: 120_000,
      credentials: { token: 'token' },
    });
  });

  it('and its warm-up are found in the outputs of the stage', () => {
    const file = outputsFile({
      'prewarm-prod': { ApiUrl: 'https://of.prod/', WarmupTraceId: 'trace' },
      'prewarm-prod-identity': { TokenUrl: 'https://issuer.prod/oauth2/token' },
      'prewarm-dev': { ApiUrl: 'https://of.dev/' },
    });

    expect(readOptions(['--outputs', file, '--stage', 'prod'], client)).toEqual({
      apiUrl: 'https://of.prod',
      traceId: 'trace',
      waitMs: 120_000,
      credentials: { tokenUrl: 'https://issuer.prod/oauth2/token', clientId: 'ci', clientSecret: 'secret' },
    });
  });

  it('given by hand comes before the outputs, and so do its warm-up and the issuer', () => {
    const file = outputsFile({ 'prewarm-dev': { ApiUrl: 'https://of.dev/', WarmupTraceId: 'trace' } });
    const own = ['--trace-id', 'own', '--token-url', 'https://own.issuer/token', '--wait', '5'];

    const options = readOptions(['--outputs', file, '--stage', 'dev', ...api, ...own], client);

    expect(options).toEqual({
      apiUrl: 'https://api.example.com/prod',
      traceId: 'own',
      waitMs: 5_000,
      credentials: { tokenUrl: 'https://own.issuer/token', clientId: 'ci', clientSecret: 'secret' },
    });
  });
});

describe('the token', () => {
  it('that is given is used rather than asked for', () => {
    expect(readOptions(api, { ...token, ...client }).credentials).toEqual({ token: 'token' });
  });

  it("comes from the environment's issuer when the stage has none of its own", () => {
    const env = { ...client, PREWARM_TOKEN_URL: 'https://theirs.example/token' };

    expect(readOptions(api, env).credentials).toMatchObject({
      tokenUrl: 'https://theirs.example/token',
    });
  });
});

describe('what is wrong is said in one sentence:', () => {
  const file = outputsFile({ 'prewarm-dev': {} });

  it.each<[string, string[], NodeJS.ProcessEnv, string]>([
    ['no API', [], token, 'Which API? Pass --api URL, or --outputs FILE and --stage NAME'],
    ['no address', ['--api', 'api.example.com'], token, '--api must be an address like https://example.com'],
    ['an unknown option', ['--url', 'x'], token, "Unknown option '--url'"],
    ['outputs without a stage', ['--outputs', file], token, 'Of which stage are the outputs?'],
    ['another stage', ['--outputs', file, '--stage', 'prod'], token, 'no outputs of the stack prewarm-prod'],
    ['no file', ['--outputs', join(dir, 'none'), '--stage', 'dev'], token, 'cdk deploy --outputs-file'],
    ['no token', api, {}, 'set PREWARM_TOKEN, or PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET'],
    ['half a client', api, { PREWARM_CLIENT_ID: 'ci' }, 'Without a token: set PREWARM_TOKEN'],
    ['a client without an issuer', api, client, 'Pass --token-url URL, or set PREWARM_TOKEN'],
    [
      'an endless wait',
      [...api, '--wait', '601'],
      token,
      '--wait must be a whole number of seconds, at most 600',
    ],
    ['no number', [...api, '--wait', 'long'], token, '--wait must be a whole number of seconds'],
  ])('%s', (_, args, env, message) => {
    expect(() => readOptions(args, env)).toThrow(message);
  });
});
