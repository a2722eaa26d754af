/** Migrations on a real PostgreSQL: once, whole or not at all, and never changed afterwards. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MigrationError } from '../../../../shared/errors.ts';
import { migrate } from '../../../../shared/postgres/migrate.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';

let servers: IsolatedServers;
let folder: string;
let migrationsDir: URL;

beforeEach(async () => {
  servers = await isolatedServers({ seeded: false });
  await query('DROP TABLE prewarm_migrations');
  folder = await mkdtemp(join(tmpdir(), 'prewarm-migrations-'));
  migrationsDir = pathToFileURL(`${folder}/`);
});
afterEach(async () => {
  await servers.dispose();
  await rm(folder, { recursive: true });
});

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: servers.databaseUrl });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const file = (name: string, sql: string) => writeFile(join(folder, name), sql);

describe('migrate', () => {
  it('applies the files in the order of their names, each once', async () => {
    await file('0002_b.sql', 'INSERT INTO a VALUES (1);');
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    expect(await migrate(servers.databaseUrl, { migrationsDir })).toEqual({
      applied: ['0001_a.sql', '0002_b.sql'],
    });
    expect(await migrate(servers.databaseUrl, { migrationsDir })).toEqual({ applied: [] });
    expect(await query('SELECT x FROM a')).toHaveLength(1);
  });

  it('leaves nothing of a file that fails, and says which', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int); SELECT 1/0;');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0001_a.sql',
      message: expect.stringContaining('division by zero'),
    });
    await expect(query('SELECT 1 FROM a')).rejects.toThrow('does not exist');
    await expect(query('SELECT 1 FROM prewarm_migrations')).rejects.toThrow('does not exist');
  });

  it('fails, and does not end the process, when its connection is cut', async () => {
    await file('0001_a.sql', 'SELECT pg_sleep(10);');
    const migrated = migrate(servers.databaseUrl, { migrationsDir });
    const cut =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(10)%' AND pid <> pg_backend_pid()";
    const failure = expect(migrated).rejects.toBeInstanceOf(MigrationError);
    await expect.poll(() => query(cut), { timeout: 5_000 }).toHaveLength(1);
    await failure;
  });

  it('refuses a file that was changed after it was applied', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await migrate(servers.databaseUrl, { migrationsDir });
    await file('0001_a.sql', 'CREATE TABLE a (x bigint);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toThrow('has changed since');
  });

  it('applies each file once when two deployments migrate at once', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int); SELECT pg_sleep(0.1);');
    const both = await Promise.all([1, 2].map(() => migrate(servers.databaseUrl, { migrationsDir })));
    expect(both.map(({ applied }) => applied.length).sort()).toEqual([0, 1]);
  });
});
