/** `npm run smoke` against the running local stage: what it says of a good deployment, and of everything that is wrong with one. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { TokenClaims } from '../../infra/local/identity.ts';
import { findFreePort } from '../../infra/local/servers/ports.ts';
import { type RunningStage, startLocalStage } from '../support/local-stage.ts';
import { startScript } from '../support/runner.ts';

const SMOKE_TEST = fileURLToPath(new URL('../../infra/smoke-test/main.ts', import.meta.url));
const LOCK = 'cache:warmup:lock';

let stage: RunningStage;
let url: string;
let traceId: string;

beforeAll(async () => {
  stage = await startLocalStage('smoke-', 'named');
  url = stage.url;
  traceId = /trigger deploy +traceId (\S+)/.exec(stage.runner.output())?.[1] ?? '';
});

afterAll(() => stage?.stop());

/** A subject and a client of their own: each may ask for the status five times a minute. */
function tokenOf(sub: string, claims: TokenClaims = {}): Promise<string> {
  return stage.tokenOf({ sub, client: 'ci', ...claims });
}

/** This test may itself run in a job of GitHub, or where somebody set a token: neither is meant for this program. */
const noneOfOurs = {
  GITHUB_ACTIONS: '',
  GITHUB_STEP_SUMMARY: '',
  PREWARM_TOKEN: '',
  PREWARM_TOKEN_URL: '',
  PREWARM_CLIENT_ID: '',
  PREWARM_CLIENT_SECRET: '',
};

async function smoke(args: readonly string[], env: NodeJS.ProcessEnv) {
  const program = startScript(SMOKE_TEST, args, { ...noneOfOurs, ...env });
  const { code } = await program.exited;
  return { code, output: program.output() };
}

describe('a good deployment', () => {
  it('passes, with what its own warm-up did, in the terminal and as a page', async () => {
    const summaryFile = join(stage.stateDir, 'summary.md');
    const { code, output } = await smoke(['--api', `${url}/`, '--trace-id', traceId], {
      PREWARM_TOKEN: await tokenOf('good'),
      GITHUB_STEP_SUMMARY: summaryFile,
    });

    expect(output).toMatch(/^✓ GET \/health: ok \(\d+ ms\)$/m);
    expect(output).toMatch(/^✓ GET \/users\/1 without a token: 401 \(\d+ ms\)$/m);
    expect(output).toMatch(/^✓ GET \/users\?ids=1,2: 2 of 2 users, \w+ \(\d+ ms\)$/m);
    expect(output).toMatch(/^✓ GET \/admin\/status: reports of the last 1 warm-ups/m);
    expect(output).toMatch(new RegExp(`^✓ The deployment's warm-up ${traceId}: success`, 'm'));
    expect(output).toMatch(/^ {2}top-users +success +\d+ ms +1 +20,000 +20,000/m);
    expect(output).not.toContain('::');
    expect(code).toBe(0);

    const page = readFileSync(summaryFile, 'utf8');
    expect(page).toContain(`## Smoke test passed: ${url}\n`);
    expect(page).toMatch(/^ {6}top-users +success +\d+ ms +1 +20,000 +20,000 +0 +0 +0$/m);
    expect(page).toMatch(/^ {6}20,\d+ of 20,\d+ keys warmed$/m);
    expect(page).toMatch(new RegExp(`^ {4}Warm-up success .*traceId ${traceId} `, 'm'));
  });

  it('is found by the outputs of the deployment, with a token that the client gets itself', async () => {
    const issuer = await startIssuer(() => tokenOf('client'));
    onTestFinished(() => void issuer.server.close());
    const outputsFile = join(stage.stateDir, 'outputs.json');
    const outputs = {
      'prewarm-dev': { ApiUrl: `${url}/`, WarmupTraceId: traceId },
      'prewarm-dev-identity': { TokenUrl: issuer.url },
    };
    writeFileSync(outputsFile, JSON.stringify(outputs));
    const args = ['--outputs', outputsFile, '--stage', 'dev'];
    const client = { PREWARM_CLIENT_ID: 'ci', PREWARM_CLIENT_SECRET: 'right' };

    const good = await smoke(args, client);
    const bad = await smoke(args, { ...client, PREWARM_CLIENT_SECRET: 'wrong' });

    expect(good.output).toContain(`The deployment's warm-up ${traceId}: success`);
    expect(good.code).toBe(0);
    expect(bad.output).toContain('gives no token (400, invalid_client)');
    expect(bad.output).toContain('Compare PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET');
    expect(bad.code).toBe(1);
  });
});

describe('a warm-up without a report is a warning, not a failure:', () => {
  it('the newest run is named', async () => {
    const { code, output } = await smoke(['--api', url, '--trace-id', 'unknown', '--wait', '0'], {
      PREWARM_TOKEN: await tokenOf('missing', { client: 'oncall' }),
      GITHUB_ACTIONS: 'true',
    });

    expect(output).toMatch(/^! The deployment's warm-up unknown has no report; the newest is /m);
    expect(output).toContain(`the newest is ${traceId} (deploy, success, started `);
    expect(output).toMatch(/^::warning title=Smoke test::The deployment's warm-up unknown has no report/m);
    expect(code).toBe(0);
  });

  it('the run that holds the lock is named', async () => {
    await stage.redis.set(LOCK, 'somebody-else', 'EX', 30);
    onTestFinished(async () => void (await stage.redis.del(LOCK)));
    const { code, output } = await smoke(['--api', url, '--trace-id', 'unknown', '--wait', '0'], {
      PREWARM_TOKEN: await tokenOf('held', { client: 'oncall' }),
    });

    expect(output).toMatch(/^! .* unknown has no report, and the warm-up somebody-else holds the lock/m);
    expect(code).toBe(0);
  });
});

describe('a broken API fails:', () => {
  it.each<[string, TokenClaims, string]>([
    ['that refuses the token', { audience: 'other' }, '✗ GET /users?ids=1,2: 401'],
    ['that lets the client read only', { scope: 'users:read' }, '✗ GET /admin/status: 403'],
    ['that does not let the client read', { scope: 'cache:admin' }, '✗ GET /users?ids=1,2: 403'],
  ])('%s', async (_, claims, line) => {
    const { code, output } = await smoke(['--api', url], {
      PREWARM_TOKEN: await tokenOf('refused', { client: 'console', ...claims }),
      GITHUB_ACTIONS: 'true',
    });

    expect(output).toContain(line);
    expect(output).toMatch(/\n {2}(The token is refused: compare|The client of the token needs the scopes)/);
    expect(output).toMatch(/^::error title=Smoke test::/m);
    expect(code).toBe(1);
  });

  it('at an address where nothing listens', async () => {
    const summaryFile = join(stage.stateDir, 'dead.md');
    const { code, output } = await smoke(['--api', `http://127.0.0.1:${await findFreePort()}`], {
      PREWARM_TOKEN: 'any',
      GITHUB_STEP_SUMMARY: summaryFile,
    });

    expect(output).toMatch(/^✗ http:\/\/127\.0\.0\.1:\d+ does not answer \(ECONNREFUSED\)$/m);
    expect(output).toContain('Compare the address with the output ApiUrl');
    expect(readFileSync(summaryFile, 'utf8')).toContain('## Smoke test failed: http://127.0.0.1:');
    expect(code).toBe(1);
  });

  it('whose issuer does not answer, with the address to compare', async () => {
    const { code, output } = await smoke(
      ['--api', url, '--token-url', `http://127.0.0.1:${await findFreePort()}/token`],
      { PREWARM_CLIENT_ID: 'ci', PREWARM_CLIENT_SECRET: 'secret' },
    );

    expect(output).toMatch(
      /does not answer \(ECONNREFUSED\)\n +Compare the token address with the output TokenUrl/,
    );
    expect(code).toBe(1);
  });

  it('without a token, before anything is asked', async () => {
    const { code, output } = await smoke(['--api', url], {});

    expect(output).toBe(
      'Without a token: set PREWARM_TOKEN, or PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET.\n',
    );
    expect(code).toBe(1);
  });
});

it('says how it is used', async () => {
  const { code, output } = await smoke(['--help'], {});

  expect(output).toContain('npm run smoke -- --api');
  expect(code).toBe(0);
});

// The last one: it takes the users away.
it('a deployment whose table is still empty passes', async () => {
  await stage.database.query('DELETE FROM users');
  const token = await tokenOf('empty', { client: 'default' });
  const authorization = `Bearer ${token}`;
  const cleared = await fetch(`${url}/admin/clear`, { method: 'POST', headers: { authorization } });
  expect(cleared.status).toBe(200);

  await expect
    .poll(async () => smoke(['--api', url], { PREWARM_TOKEN: token }), { interval: 1_000 })
    .toEqual({ code: 0, output: expect.stringMatching(/^✓ GET \/users\?ids=1,2: 0 of 2 users, miss/m) });
});

/** Gives tokens as Cognito's domain does: to a client that shows its id and secret. */
async function startIssuer(issue: () => Promise<string>): Promise<{ url: string; server: Server }> {
  const server = createServer(async (request, answer) => {
    const isClient = request.headers.authorization === `Basic ${btoa('ci:right')}`;
    let body = '';
    for await (const part of request) body += part;
    const isGranted = isClient && request.method === 'POST' && body === 'grant_type=client_credentials';
    const json = isGranted
      ? { access_token: await issue(), token_type: 'Bearer' }
      : { error: 'invalid_client' };
    answer.writeHead(isGranted ? 200 : 400, { 'content-type': 'application/json' }).end(JSON.stringify(json));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth2/token`, server };
}
