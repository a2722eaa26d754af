/** Migrations on a real PostgreSQL: once, all or none of them, and never changed afterwards. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MigrationError } from '../../../../shared/errors.ts';
import { migrate } from '../../../../shared/postgres/migrate.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';

/** The three seconds that an ALTER may wait, and what a busy machine adds. */
const LOCK_BOUND_MS = 8_000;

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

/** While a transaction that has read `table` is open. */
async function withReader(table: string, work: () => Promise<void>): Promise<void> {
  const reader = new pg.Client({ connectionString: servers.databaseUrl });
  await reader.connect();
  try {
    await reader.query(`BEGIN; SELECT FROM ${table}`);
    await work();
  } finally {
    await reader.end();
  }
}

/** Which of the tables there are. */
async function existing(...tables: string[]): Promise<string[]> {
  const found = await Promise.all(tables.map((table) => query(`SELECT to_regclass('${table}') AS name`)));
  return (found.flat() as { name: string | null }[]).flatMap(({ name }) => name ?? []);
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

  it('leaves nothing of any file when one fails, and says which', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'CREATE TABLE b (x int); SELECT 1/0;');
    await file('0003_c.sql', 'CREATE TABLE c (x int);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0002_b.sql',
      message: expect.stringContaining('division by zero'),
    });
    expect(await existing('a', 'b', 'c', 'prewarm_migrations')).toEqual([]);
  });

  it('leaves what earlier deployments applied when a file of this one fails', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await migrate(servers.databaseUrl, { migrationsDir });
    await file('0002_b.sql', 'CREATE TABLE b (x int);');
    await file('0003_c.sql', 'SELECT 1/0;');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toThrow('0003_c.sql');
    expect(await existing('a', 'b')).toEqual(['a']);
    expect(await query('SELECT name FROM prewarm_migrations')).toEqual([{ name: '0001_a.sql' }]);
  });

  it('applies all files after the one that failed was repaired', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'INSERT INTO a VALUES (1/0);');
    await file('0003_c.sql', 'INSERT INTO a VALUES (3);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toThrow('0002_b.sql');
    await file('0002_b.sql', 'INSERT INTO a VALUES (2);');
    expect(await migrate(servers.databaseUrl, { migrationsDir })).toEqual({
      applied: ['0001_a.sql', '0002_b.sql', '0003_c.sql'],
    });
    expect(await query('SELECT x FROM a ORDER BY x')).toEqual([{ x: 2 }, { x: 3 }]);
  });

  it.each([
    [
      'a statement that no transaction may hold',
      'CREATE INDEX CONCURRENTLY i ON a (x);',
      /transaction block|cannot be executed/,
    ],
    ['a COMMIT', 'CREATE TABLE b (x int); COMMIT;', /transaction commands/],
    ['a COMMIT and a BEGIN', 'CREATE TABLE b (x int); COMMIT; BEGIN;', /transaction commands/],
    ['a ROLLBACK', 'ROLLBACK;', /transaction commands/],
  ])('fails at a file with %s, and leaves nothing of any', async (_, sql, message) => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', sql);
    await file('0003_c.sql', 'CREATE TABLE c (x int);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0002_b.sql',
      message: expect.stringMatching(message),
    });
    expect(await existing('a', 'b', 'c', 'prewarm_migrations')).toEqual([]);
  });

  it('ends in time when a file has many statements, of which none takes long, and nothing goes on in Postgres', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'SELECT pg_sleep(0.4);'.repeat(10));
    const beganAtMs = performance.now();
    await expect(migrate(servers.databaseUrl, { migrationsDir, budgetMs: 1_000 })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0002_b.sql',
      cause: { code: '57014' },
    });
    expect(performance.now() - beganAtMs).toBeLessThan(3_000);
    expect(await existing('a')).toEqual([]);
    const others =
      'SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()';
    expect(await query(`${others} AND state <> 'idle'`)).toEqual([]);
  });

  it('takes files with functions, quotes and settings of their own, which end with the file', async () => {
    await file('0001_a.sql', "SELECT set_config('search_path', '', false); CREATE TABLE public.a (x text);");
    await file(
      '0002_b.sql',
      `CREATE FUNCTION shout(word text) RETURNS text LANGUAGE plpgsql AS $body$ BEGIN RETURN upper(word) || '!'; END $body$;
       INSERT INTO a VALUES (shout('it''s \\ $$ here')); -- a comment at the end`,
    );
    await file('0003_c.sql', '-- nothing but a comment');
    expect((await migrate(servers.databaseUrl, { migrationsDir })).applied).toHaveLength(3);
    expect(await query('SELECT x FROM a')).toEqual([{ x: "IT'S \\ $$ HERE!" }]);
  });

  it('gives up soon, and leaves nothing, when a table that a file alters is in use', async () => {
    await query('CREATE TABLE busy (x int)');
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'ALTER TABLE busy ADD y int;');
    const beganAtMs = performance.now();
    await withReader('busy', () =>
      expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
        constructor: MigrationError,
        migration: '0002_b.sql',
        cause: { code: '55P03' },
      }),
    );
    expect(performance.now() - beganAtMs).toBeLessThan(LOCK_BOUND_MS);
    expect(await existing('a')).toEqual([]);
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
