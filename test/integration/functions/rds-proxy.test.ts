/** Where `DATABASE_PROXY` says that an RDS Proxy is there, all functions that use Postgres connect as it wants them to. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { handler as migrate } from '../../../functions/migrate/handler.ts';
import { createAuthority } from '../../support/certificates.ts';
import { startAdmin, startReadFunction, startWarmer } from '../../support/programs/start.ts';
import { openRdsProxy, type RdsProxy } from '../../support/rds-proxy.ts';
import { type IsolatedServers, isolatedServers } from '../../support/servers.ts';
import { administer } from '../../support/test-servers.ts';

const PASSWORD = 'of-the-url';

let servers: IsolatedServers;
let folder: string;
let proxy: RdsProxy;
let databaseUrl: string;
/** Without a password. */
let urlOfRole: string;

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
  await administer(servers.databaseUrl, (client) =>
    client.query("INSERT INTO users (id, username, display_name) VALUES (7, 'seven', 'Seven')"),
  );
  folder = await mkdtemp(join(tmpdir(), 'prewarm-rds-proxy-'));
  const certificate = createAuthority('Our authority').issue('localhost');
  await writeFile(join(folder, 'ca.pem'), certificate.ca);
  proxy = await openRdsProxy({
    databaseUrl: servers.databaseUrl,
    certificate,
    user: 'prewarm_functions',
    acceptsPassword: (password) => password === PASSWORD || password.includes('/?Action=connect&'),
    initQuery: 'SET statement_timeout = 2000',
  });
  urlOfRole = `${proxy.url}?sslmode=verify-full&sslrootcert=${join(folder, 'ca.pem')}`;
  databaseUrl = urlOfRole.replace('@', `:${PASSWORD}@`);
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  vi.stubEnv('DATABASE_PROXY', 'rds');
  for (const name of ['AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, 'test');
});
afterEach(() => vi.unstubAllEnvs());

describe('through an RDS Proxy', () => {
  it('the read function answers', async () => {
    const read = await startReadFunction({ redisUrl: servers.redisUrl, databaseUrl });
    const answer = await read.call('get', { resource: '/users/{id}', pathParameters: { id: '7' } });
    expect(answer).toMatchObject({ statusCode: 200, headers: { 'x-cache': 'miss' } });
  });

  it('the warmer warms', async () => {
    const warmer = await startWarmer({ redisUrl: servers.redisUrl, databaseUrl });
    const { report } = await warmer.call('invoke', 'manual', 'trace');
    expect(report).toMatchObject({ status: 'success', failed: 0 });
    expect(report.warmed).toBeGreaterThan(0);
  });

  it('the admin function clears users, at a time that Postgres tells', async () => {
    const admin = await startAdmin({ redisUrl: servers.redisUrl, databaseUrl });
    expect(await admin.call('ask', 'POST', '/admin/clear', { ids: [7] })).toMatchObject({ statusCode: 200 });
  });

  it("the migrations run, as the function's role", async () => {
    const answers: string[] = [];
    const cloudFormation = createServer(async (request, response) => {
      answers.push((await request.toArray()).join(''));
      response.end();
    });
    onTestFinished(() => void cloudFormation.close());
    await once(cloudFormation.listen(0, '127.0.0.1'), 'listening');
    const { port } = cloudFormation.address() as AddressInfo;
    vi.stubEnv('DATABASE_URL', urlOfRole);
    await migrate({
      RequestType: 'Update',
      ResponseURL: `http://127.0.0.1:${port}/`,
      RequestId: 'request',
    } as CloudFormationCustomResourceEvent);
    expect(answers.map((answer) => JSON.parse(answer))).toEqual([
      expect.objectContaining({ Status: 'SUCCESS', Data: { Applied: '0' } }),
    ]);
    expect(proxy.passwords.at(-1)).toContain('DBUser=prewarm_functions');
  });
});
