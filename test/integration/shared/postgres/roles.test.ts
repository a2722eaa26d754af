/** As whom functions sign in to Postgres: what each role may do there, and what it is refused. */
import pg from 'pg';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { seed } from '../../../../infra/local/sample-users/seed.ts';
import { userSearch } from '../../../../shared/datasets/user-search.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { log } from '../../../../shared/logger.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { migrate } from '../../../../shared/postgres/migrate.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { addReads } from '../../../../shared/warming/popularity.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { startOwnPostgres } from '../../../support/own-processes.ts';
import { queryOnce } from '../../../support/own-servers.ts';
import { startAdmin, startReadFunction, startWarmer } from '../../../support/programs/start.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { withDatabase } from '../../../support/test-servers.ts';

const LOGINS = [
  { role: 'prewarm_reader', password: 'of the reader’s' },
  { role: 'prewarm_warmer', password: 'of/the+warmer=s' },
];
/** Postgres' code for what nobody has granted. */
const REFUSED = { code: '42501' };

let serverUrl: string;

/** Owners as RDS has them: no superuser, but who may make roles where it is said. */
beforeAll(async () => {
  serverUrl = await startOwnPostgres();
  await queryOnce(serverUrl, "CREATE ROLE master LOGIN CREATEROLE PASSWORD 'm'");
  await queryOnce(serverUrl, "CREATE ROLE tenant LOGIN PASSWORD 't'");
  for (const [name, owner] of Object.entries({
    rented: 'tenant',
    leased: 'tenant',
    lent: 'tenant',
    shop: 'master',
    twin: 'master',
  }))
    await queryOnce(serverUrl, `CREATE DATABASE ${name} OWNER ${owner}`);
});

function urlAs(user: string, password: string, database: string): string {
  const url = new URL(withDatabase(serverUrl, database));
  url.username = user;
  url.password = encodeURIComponent(password);
  return url.href;
}

function loginUrl(role: string): string {
  const password = LOGINS.find((login) => login.role === role)?.password ?? 'none';
  return urlAs(role, password, 'shop');
}

// The first of all, because roles belong to the whole server: nobody has made them yet.
describe('an owner who may not make roles', () => {
  it('migrates all the same, and is warned', async () => {
    const warn = vi.spyOn(log, 'warn');
    onTestFinished(() => warn.mockRestore());
    expect((await migrate(urlAs('tenant', 't', 'rented'))).applied).toContain('0005_roles.sql');
    const refusal = expect.stringContaining('is not there, and tenant may not make roles');
    expect(warn.mock.calls).toEqual(
      [1, 2].map(() => ['migration.warned', expect.any(String), { reason: refusal }]),
    );
  });
});

describe('the roles', () => {
  let servers: IsolatedServers;

  beforeAll(async () => {
    servers = await isolatedServers({ seeded: false });
    // At once, and of one server: both make the same roles.
    const both = [migrate(urlAs('master', 'm', 'shop')), migrate(urlAs('master', 'm', 'twin'))];
    await Promise.all(both);
    await migrate(urlAs('master', 'm', 'shop'), { logins: LOGINS });
    await seed(urlAs('master', 'm', 'shop'), 600);
  });

  /** Without the reader's second lock, which its session may open. */
  async function attempt(role: string, statement: string): Promise<unknown> {
    const options = '-c default_transaction_read_only=off';
    const client = new pg.Client({ connectionString: loginUrl(role), options });
    await client.connect();
    return client.query(`BEGIN; ${statement}`).finally(() => client.end());
  }

  it.each(LOGINS)('sign in with the last password that was set, and no other: $role', async (login) => {
    await expect(queryOnce(urlAs(login.role, 'guessed', 'shop'), 'SELECT 1')).rejects.toThrow(/password/);
    await migrate(urlAs('master', 'm', 'shop'), { logins: [{ ...login, password: 'another' }] });
    await expect(queryOnce(loginUrl(login.role), 'SELECT 1')).rejects.toThrow(/password/);
    await migrate(urlAs('master', 'm', 'shop'), { logins: LOGINS });
    expect(await queryOnce(loginUrl(login.role), 'SELECT current_user AS who')).toEqual([
      { who: login.role },
    ]);
  });

  it.each(LOGINS.map(({ role }) => role))(
    '%s may run every statement of the datasets, and explain it',
    async (role) => {
      const database = closedAtEnd(new Database(loginUrl(role)));
      const ids = await users.rank(database, 10);
      expect(
        (await users.load(database, [...ids, 30_000])).values.filter((json) => json === null),
      ).toHaveLength(1);
      const searches = await userSearch.rank(database, 5);
      const spellings = ['ann', 'a', '.', 'İLKER', 'nobody at all'].map((query) => ({
        query,
        limit: 2,
        after: null,
      }));
      expect((await userSearch.load(database, [...searches, ...spellings])).values).toHaveLength(10);
      const after = { followerCount: 1_000, id: 1 };
      expect((await userSearch.load(database, [{ query: 'an', limit: 2, after }])).values).toHaveLength(1);
      expect(await database.nowUs()).toBeGreaterThan(0);
      expect(await database.query('EXPLAIN SELECT * FROM users')).not.toEqual([]);
    },
  );

  it.each(LOGINS.map(({ role }) => role))('%s may read the table of a later migration', async (role) => {
    const table = `later_${role}`;
    await queryOnce(urlAs('master', 'm', 'shop'), `CREATE TABLE ${table} AS SELECT 1 AS one`);
    expect(await queryOnce(loginUrl(role), `SELECT one FROM ${table}`)).toEqual([{ one: 1 }]);
    await expect(attempt(role, `UPDATE ${table} SET one = 2`)).rejects.toMatchObject(REFUSED);
  });

  it('are granted the same by an owner who may not make them, once they are there', async () => {
    await migrate(urlAs('tenant', 't', 'leased'));
    const url = withDatabase(loginUrl('prewarm_reader'), 'leased');
    expect(await queryOnce(url, 'SELECT FROM users')).toEqual([]);
    await expect(queryOnce(url, 'SELECT FROM prewarm_migrations')).rejects.toMatchObject(REFUSED);
  });

  it('whose passwords cannot be set leave no migration behind', async () => {
    const failing = migrate(urlAs('tenant', 't', 'lent'), { logins: LOGINS });
    await expect(failing).rejects.toMatchObject(REFUSED);
    const left = "SELECT to_regclass('prewarm_migrations') AS migrations, to_regclass('users') AS users";
    expect(await queryOnce(urlAs('tenant', 't', 'lent'), left)).toEqual([{ migrations: null, users: null }]);
  });

  it('have their passwords in no statement, which a server may log', async () => {
    const query = vi.spyOn(pg.Client.prototype, 'query');
    onTestFinished(() => query.mockRestore());
    await migrate(urlAs('master', 'm', 'shop'), { logins: LOGINS });
    const statements = query.mock.calls.map(([statement]) => String(statement));
    for (const { role, password } of LOGINS) {
      expect(statements).toContainEqual(expect.stringMatching(`${role}.*SCRAM-SHA-256`));
      expect(statements.join()).not.toContain(password);
    }
  });

  it('get their passwords from deployments to two databases of a server at the same moment', async () => {
    for (let times = 0; times < 5; times++) {
      const both = ['shop', 'twin'].map((database) =>
        migrate(urlAs('master', 'm', database), { logins: LOGINS }),
      );
      expect(await Promise.all(both)).toEqual([{ applied: [] }, { applied: [] }]);
    }
  });

  it('lose with the next migrations what they have set for themselves', async () => {
    const reader = loginUrl('prewarm_reader');
    await queryOnce(
      `${reader}?options=${encodeURIComponent('-c default_transaction_read_only=off')}`,
      "ALTER ROLE CURRENT_USER SET search_path = 'pg_catalog'; ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
    );
    await expect(queryOnce(reader, 'SELECT FROM users LIMIT 1')).rejects.toThrow('does not exist');
    await migrate(urlAs('master', 'm', 'shop'), { logins: LOGINS });
    await queryOnce(reader, 'SELECT FROM users LIMIT 1');
    expect(await queryOnce(reader, 'SHOW default_transaction_read_only')).toEqual([
      { default_transaction_read_only: 'on' },
    ]);
  });

  it('of somebody else, who gave them more rights, are not signed in by us', async () => {
    await queryOnce(serverUrl, 'ALTER ROLE prewarm_reader CREATEDB');
    const refused = migrate(urlAs('master', 'm', 'shop'), { logins: LOGINS });
    await expect(refused).rejects.toThrow('prewarm_reader: is a role that may do more than read');
    await queryOnce(serverUrl, 'ALTER ROLE prewarm_reader NOCREATEDB');
    await migrate(urlAs('master', 'm', 'shop'), { logins: LOGINS });
  });

  it('the reader’s transactions are read-only, should it ever be granted more', async () => {
    await expect(
      queryOnce(loginUrl('prewarm_reader'), 'CREATE TEMP TABLE own (x int)'),
    ).rejects.toMatchObject({
      code: '25006',
    });
  });

  describe.each(LOGINS.map(({ role }) => role))('%s is refused', (role) => {
    it.each([
      "INSERT INTO users (id, username, display_name) VALUES (1000000, 'new', 'New')",
      "UPDATE users SET bio = ''",
      'DELETE FROM users',
      'TRUNCATE users',
      'COPY users (id, username, display_name) FROM STDIN',
      'SELECT FROM users LIMIT 1 FOR UPDATE',
      'LOCK TABLE users IN ACCESS EXCLUSIVE MODE',
      'ALTER TABLE users ADD own int',
      'DROP TABLE users',
      'CREATE INDEX ON users (bio)',
      'CREATE TABLE own (x int)',
      'CREATE TEMP TABLE own (x int)',
      'CREATE SCHEMA own',
      "CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      'CREATE ROLE own',
      'SELECT FROM prewarm_migrations',
      'DELETE FROM prewarm_popularity',
      'TRUNCATE prewarm_popularity',
      'SET ROLE master',
    ])('%s', async (statement) => {
      await expect(attempt(role, statement)).rejects.toMatchObject(REFUSED);
    });
  });

  it.each([
    'SELECT FROM prewarm_popularity',
    "INSERT INTO prewarm_popularity VALUES ('users', '{}', '{}', now())",
    'UPDATE prewarm_popularity SET saved_at = now()',
    'SET ROLE prewarm_warmer',
  ])('prewarm_reader is refused %s', async (statement) => {
    await expect(attempt('prewarm_reader', statement)).rejects.toMatchObject(REFUSED);
  });

  it('are enough for the functions: a warm-up that remembers what people read, a read, a clear', async () => {
    const { redisUrl } = servers;
    const redis = closedAtEnd(new GuardedRedis(redisUrl, WARMER_GUARD));
    await addReads(redis, 'users', new Map([['7', 3]]));
    const warmer = await startWarmer({ redisUrl, databaseUrl: loginUrl('prewarm_warmer') });
    const { report } = await warmer.call('invoke', 'manual', 'trace');
    expect(report).toMatchObject({ status: 'success', failed: 0 });
    expect(
      await queryOnce(urlAs('master', 'm', 'shop'), 'SELECT dataset, keys FROM prewarm_popularity'),
    ).toEqual([{ dataset: 'users', keys: ['7'] }]);

    const read = await startReadFunction({ redisUrl, databaseUrl: loginUrl('prewarm_reader') });
    const health = await read.call('get', { resource: '/health' });
    expect(JSON.parse(health.body)).toMatchObject({ postgres: true });
    expect(
      await read.call('get', { resource: '/users/{id}', pathParameters: { id: '30000' } }),
    ).toMatchObject({
      statusCode: 404,
    });

    const admin = await startAdmin({ redisUrl, databaseUrl: loginUrl('prewarm_reader') });
    for (const body of [{ ids: [7] }, {}])
      expect(await admin.call('ask', 'POST', '/admin/clear', body)).toMatchObject({ statusCode: 200 });
  });
});
