/** The way to Postgres through an RDS Proxy: what is sent to it, what is not, and as whom. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Signer } from '@aws-sdk/rds-signer';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  DatabaseUnavailableError,
  EnvironmentError,
  StatementTimeoutError,
} from '../../../../shared/errors.ts';
import { Database, type DatabaseOptions } from '../../../../shared/postgres/database.ts';
import { migrate } from '../../../../shared/postgres/migrate.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { type Certificate, createAuthority } from '../../../support/certificates.ts';
import { openRdsProxy, type RdsProxy } from '../../../support/rds-proxy.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';

/** A bound against hanging: the machine may be busy. */
const PATIENT_MS = 60_000;
const USER = 'prewarm_functions';
const ROLE = {
  AWS_REGION: 'eu-west-1',
  AWS_ACCESS_KEY_ID: 'ASIAEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret/with+signs=',
  AWS_SESSION_TOKEN: 'token/with+signs==',
};

let servers: IsolatedServers;
let certificate: Certificate;
let folder: string;
let proxy: RdsProxy;
let token: string;

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
  certificate = createAuthority('Our authority').issue('localhost');
  folder = await mkdtemp(join(tmpdir(), 'prewarm-rds-proxy-'));
  await writeFile(join(folder, 'ca.pem'), certificate.ca);
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  // Our signer and the SDK's use this moment; certificates are of the real one.
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-22T20:00:00Z') });
  for (const [name, value] of Object.entries(ROLE)) vi.stubEnv(name, value);
  proxy = await openRdsProxy({
    databaseUrl: servers.databaseUrl,
    certificate,
    user: USER,
    acceptsPassword: (password) => isSame(password, token) || password === 'of the URL',
    initQuery: 'SET statement_timeout = 1000',
  });
  token = await signToken();
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

/** What the service compares with: signed by the SDK, for the role's credentials. */
function signToken(): Promise<string> {
  return new Signer({
    hostname: 'localhost',
    port: Number(new URL(proxy.url).port),
    username: USER,
    region: ROLE.AWS_REGION,
    credentials: {
      accessKeyId: ROLE.AWS_ACCESS_KEY_ID,
      secretAccessKey: ROLE.AWS_SECRET_ACCESS_KEY,
      sessionToken: ROLE.AWS_SESSION_TOKEN,
    },
  }).getAuthToken();
}

/** The order of a URL's fields means nothing. */
function isSame(password: string, expected: string): boolean {
  const sorted = (text: string) => text.split(/[?&]/).sort().join('&');
  return sorted(password) === sorted(expected);
}

const trusted = (url: string) => `${url}?sslmode=verify-full&sslrootcert=${join(folder, 'ca.pem')}`;

function open(options: Partial<DatabaseOptions> = {}, url = trusted(proxy.url)): Database {
  const database = closedAtEnd(
    new Database(url, { isRdsProxy: true, connectTimeoutMs: PATIENT_MS, ...options }),
  );
  return database;
}

describe('a database behind an RDS Proxy', () => {
  it("answers the function's role, which brings a token for each connection", async () => {
    const database = open({ connectionsMax: 2 });
    await database.connect();
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(proxy.passwords).toHaveLength(2);
  });

  it('makes each token at the moment of connecting', async () => {
    const database = open({ connectionsMax: 2 });
    await database.connect(1);
    vi.setSystemTime(new Date('2026-11-22T21:00:00Z'));
    token = await signToken();
    await database.connect(2);
    expect(proxy.passwords.map((password) => /X-Amz-Date=(\w+)/.exec(password)?.[1])).toEqual([
      '20261122T200000Z',
      '20261122T210000Z',
    ]);
  });

  it("takes the URL's password where it has one", async () => {
    const url = trusted(proxy.url.replace(USER, `${USER}:of%20the%20URL`));
    expect(await open({}, url).query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(proxy.passwords).toEqual(['of the URL']);
  });

  it("stops a statement when the proxy's own limit says so", async () => {
    const database = open({ statementTimeoutMs: PATIENT_MS });
    expect(await database.query('SHOW statement_timeout')).toEqual([{ statement_timeout: '1s' }]);
    await expect(database.query('SELECT pg_sleep(60)')).rejects.toMatchObject({
      constructor: StatementTimeoutError,
      cause: { code: '57014' },
    });
  });

  it('does not wait for longer than its own limit either', async () => {
    const database = open({ statementTimeoutMs: 10 });
    // Without the proxy's limit: which of the two came first would be told by how busy the machine is.
    const sleep = 'SET statement_timeout = 0; SELECT pg_sleep(60)';
    await expect(database.query(sleep)).rejects.toMatchObject({
      constructor: StatementTimeoutError,
      cause: { message: 'Query read timeout' },
    });
  });

  it('is refused, and told why, when nobody said that it is a proxy', async () => {
    const url = trusted(proxy.url.replace(USER, `${USER}:of%20the%20URL`));
    await expect(open({ isRdsProxy: false }, url).query('SELECT 1')).rejects.toThrow(
      "RDS Proxy currently doesn't support the option statement_timeout",
    );
  });

  it('is unavailable to a role that it does not know', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another');
    await expect(open().query('SELECT 1')).rejects.toMatchObject({
      constructor: DatabaseUnavailableError,
      cause: { code: '28P01' },
    });
  });

  it('names the variable when there are no credentials', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', '');
    await expect(open().query('SELECT 1')).rejects.toMatchObject({
      constructor: EnvironmentError,
      variable: 'AWS_ACCESS_KEY_ID',
    });
  });

  it('is sent no token before its certificate is verified, also when the URL says nothing of TLS', async () => {
    await expect(open({}, proxy.url).query('SELECT 1')).rejects.toMatchObject({
      constructor: DatabaseUnavailableError,
      cause: { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
    });
    expect(proxy.passwords).toEqual([]);
  });
});

describe('migrations through an RDS Proxy', () => {
  it("run as the function's role, and under their own limits instead of the proxy's", async () => {
    await writeFile(join(folder, '0001_slow.sql'), 'SELECT pg_sleep(1.2);');
    const migrationsDir = pathToFileURL(`${folder}/`);
    expect(await migrate(trusted(proxy.url), { migrationsDir, isRdsProxy: true })).toEqual({
      applied: ['0001_slow.sql'],
    });
    expect(proxy.passwords).toHaveLength(1);
  });
});
