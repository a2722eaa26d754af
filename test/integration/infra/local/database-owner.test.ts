/** Whose a database is that `npm start` was told to use: somebody's own is left as it is until they say otherwise. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, expect, inject, it } from 'vitest';
import { holdsNothingElse } from '../../../../infra/local/database-owner.ts';
import { migrate } from '../../../../shared/postgres/migrate.ts';
import '../../../support/global-setup.ts'; // the type of what it provides
import { administer, withDatabase } from '../../../support/test-servers.ts';

let name: string;
let databaseUrl: string;
let client: pg.Client;

beforeEach(async () => {
  const { adminDatabaseUrl, runId } = inject('servers');
  name = `prewarm_test_${runId}_${randomBytes(6).toString('hex')}`;
  databaseUrl = withDatabase(adminDatabaseUrl, name);
  await administer(adminDatabaseUrl, (admin) => admin.query(`CREATE DATABASE ${name}`));
  client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await administer(inject('servers').adminDatabaseUrl, (admin) =>
    admin.query(`DROP DATABASE ${name} WITH (FORCE)`),
  );
});

it('is Prewarm’s alone when it is empty, also with an extension, and after a migration that was all', async () => {
  await client.query('CREATE EXTENSION pg_stat_statements');
  expect(await holdsNothingElse(databaseUrl, false)).toBe(true);
  await migrate(databaseUrl);
  expect(await holdsNothingElse(databaseUrl, false)).toBe(true);
});

it('that Prewarm has migrated is used whatever else is there by then, and gets no sample', async () => {
  await migrate(databaseUrl);
  await client.query('CREATE TABLE somebodys_own (id bigint)');
  expect(await holdsNothingElse(databaseUrl, false)).toBe(false);
});

it.each([
  'CREATE TABLE users (id bigint)',
  'CREATE SCHEMA shop CREATE VIEW sold AS SELECT 1',
  'CREATE SEQUENCE numbers',
  "CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42'",
  "CREATE TYPE colour AS ENUM ('red')",
  'CREATE TYPE pair AS (a int, b int)',
])('is somebody’s after "%s"', async (sql) => {
  await client.query(sql);
  await expect(holdsNothingElse(databaseUrl, false)).rejects.toThrow(
    /\((users|shop\.sold|numbers|answer|colour|pair)\).*--adopt/,
  );
  expect(await holdsNothingElse(databaseUrl, true)).toBe(false);
});

it('that is not in UTF8 is refused by its encoding', async () => {
  const other = `${name}_latin`;
  const { adminDatabaseUrl } = inject('servers');
  await administer(adminDatabaseUrl, (admin) =>
    admin.query(
      `CREATE DATABASE ${other} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0`,
    ),
  );
  await expect(holdsNothingElse(withDatabase(adminDatabaseUrl, other), false)).rejects.toThrow(
    'is in LATIN1',
  );
  await administer(adminDatabaseUrl, (admin) => admin.query(`DROP DATABASE ${other} WITH (FORCE)`));
});

it('names a few of many', async () => {
  for (const table of ['a', 'b', 'c', 'd', 'e']) await client.query(`CREATE TABLE ${table} (id bigint)`);
  await expect(holdsNothingElse(databaseUrl, false)).rejects.toThrow('(a, b, c and 2 more)');
});
