/** Applies the SQL files of a folder in the order of their names, each once, each whole or not at all. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { MigrationError } from '../errors.ts';

export type Migrated = { readonly applied: readonly string[] };

type Migration = { readonly name: string; readonly sql: string; readonly checksum: string };

/** Any number, the same in all deployments: two deploys at once migrate one after the other. */
const MIGRATION_LOCK_ID = 7_736_392_127;
/** How long another deployment may migrate before this one gives up. */
const OTHER_MIGRATION_TIMEOUT_MS = 60_000;
/** Behind an ALTER that waits for its lock, every read of the table waits as well: so it does not wait long. */
const TABLE_LOCK_TIMEOUT_MS = 3_000;
/** For everything; the function that migrates has 300 s, and must still say that it failed. */
const BUDGET_MS = 240_000;
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
    // The server stops a statement first (`statement_timeout` below): else it would go on, with its locks, unwatched.
    query_timeout: BUDGET_MS + 10_000,
  });
  // A connection that breaks rejects its query and is an event as well, which would end the process without a listener.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await applyMissing(client, migrations, Date.now() + BUDGET_MS);
  } finally {
    // Ends the session, and with it the advisory lock; one that broke has ended already.
    await client.end().catch(() => undefined);
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

async function applyMissing(
  client: pg.Client,
  migrations: readonly Migration[],
  giveUpAtMs: number,
): Promise<Migrated> {
  await client.query(`SET lock_timeout = ${OTHER_MIGRATION_TIMEOUT_MS}`);
  await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK_ID]);
  await client.query(`SET lock_timeout = ${TABLE_LOCK_TIMEOUT_MS}`);
  const checksums = await readChecksums(client);
  const applied: string[] = [];
  for (const migration of migrations) {
    const known = checksums.get(migration.name);
    if (known === undefined) {
      await client.query(`SET statement_timeout = ${Math.max(1, giveUpAtMs - Date.now())}`);
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

/** Of the files that were applied; none in a database that was never migrated. */
async function readChecksums(client: pg.Client): Promise<Map<string, string>> {
  const known = await client.query("SELECT to_regclass('prewarm_migrations') AS name");
  if (known.rows[0].name === null) return new Map();
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM prewarm_migrations',
  );
  return new Map(rows.map((row) => [row.name, row.checksum]));
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    // In the same transaction, so that a first file that fails leaves nothing at all.
    await client.query(`CREATE TABLE IF NOT EXISTS prewarm_migrations (
      name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
    await client.query(migration.sql);
    await client.query('INSERT INTO prewarm_migrations (name, checksum) VALUES ($1, $2)', [
      migration.name,
      migration.checksum,
    ]);
    await client.query('COMMIT');
  } catch (cause) {
    // A connection that is gone has rolled back by itself.
    await client.query('ROLLBACK').catch(() => undefined);
    throw new MigrationError(migration.name, cause instanceof Error ? cause.message : 'failed', { cause });
  }
}
