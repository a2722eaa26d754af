/** Whose a database is that `npm start` was told to use: somebody's own is left as it is until they say otherwise. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, expect, inject, it } from 'vitest';
import { findOwner } from '../../../../infra/local/database-owner.ts';
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

it('is nobody’s when it is empty, also with an extension', async () => {
  await client.query('CREATE EXTENSION pg_stat_statements');
  expect(await findOwner(databaseUrl, false)).toBe('nobody');
});

it('is Prewarm’s once it was migrated, whatever else is there by then', async () => {
  await migrate(databaseUrl);
  await client.query('CREATE TABLE products (id bigint)');
  expect(await findOwner(databaseUrl, false)).toBe('prewarm');
});

it.each([
  'CREATE TABLE users (id bigint)',
  'CREATE SCHEMA shop CREATE VIEW sold AS SELECT 1',
  'CREATE SEQUENCE numbers',
])('is somebody’s after "%s"', async (sql) => {
  await client.query(sql);
  await expect(findOwner(databaseUrl, false)).rejects.toThrow(/\((users|shop\.sold|numbers)\).*--adopt/);
  expect(await findOwner(databaseUrl, true)).toBe('somebody');
});

it('names a few of many', async () => {
  for (const table of ['a', 'b', 'c', 'd', 'e']) await client.query(`CREATE TABLE ${table} (id bigint)`);
  await expect(findOwner(databaseUrl, false)).rejects.toThrow('(a, b, c and 2 more)');
});
