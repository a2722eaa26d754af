/** Applies the SQL files of a folder in the order of their names, each once, each whole or not at all. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { MigrationError } from '../errors.ts';

export type Migrated = { readonly applied: readonly string[] };

type Migration = { readonly name: string; readonly sql: string; readonly checksum: string };

/** Any number, the same in all deployments: two deploys at once migrate one after the other. */
const MIGRATION_LOCK_ID = 7_736_392_127;
const LOCK_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Brings the database at `databaseUrl` up to date and answers the names of the files that were applied now.
 * Throws `MigrationError` when a file fails (nothing of it stays) or an applied file has changed since.
 */
export async function migrate(
  databaseUrl: string,
  // Beside this file in the sources, and beside the bundle in a deployed function.
  options: { migrationsDir?: URL } = {},
): Promise<Migrated> {
  const migrations = await readMigrations(options.migrationsDir ?? new URL('./migrations/', import.meta.url));
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
  });
  await client.connect();
  try {
    return await applyMissing(client, migrations);
  } finally {
    // Ends the session, and with it the advisory lock.
    await client.end();
  }
}

async function readMigrations(folder: URL): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, folder), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function applyMissing(client: pg.Client, migrations: readonly Migration[]): Promise<Migrated> {
  await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK_ID]);
  await client.query(`CREATE TABLE IF NOT EXISTS prewarm_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
  const recorded = await client.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM prewarm_migrations',
  );
  const checksums = new Map(recorded.rows.map((row) => [row.name, row.checksum]));
  const applied: string[] = [];
  for (const migration of migrations) {
    const known = checksums.get(migration.name);
    if (known === undefined) {
      await apply(client, migration);
      applied.push(migration.name);
    } else if (known !== migration.checksum) {
      throw new MigrationError(
        migration.name,
        'was applied and has changed since. Put the old text back and write a new file.',
      );
    }
  }
  return { applied };
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query('INSERT INTO prewarm_migrations (name, checksum) VALUES ($1, $2)', [
      migration.name,
      migration.checksum,
    ]);
    await client.query('COMMIT');
  } catch (cause) {
    await client.query('ROLLBACK');
    throw new MigrationError(migration.name, cause instanceof Error ? cause.message : 'failed', { cause });
  }
}
