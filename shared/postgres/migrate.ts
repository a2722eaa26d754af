/** Applies the SQL files of a folder in the order of their names, each once: all that are missing, or none of them. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { environment } from '../environment.ts';
import { MigrationError } from '../errors.ts';
import { rdsProxyTarget } from './rds-proxy.ts';

export type Migrated = { readonly applied: readonly string[] };

type MigrateOptions = {
  /** @default beside this file in the sources, and beside the bundle in a deployed function */
  readonly migrationsDir?: URL;
  /** @default false */
  readonly isRdsProxy?: boolean;
};

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
 * Throws `MigrationError` when a file fails or an applied file has changed since; nothing of any file stays then.
 *
 * All files of one call are one transaction. So a file holds no BEGIN or COMMIT, and nothing that cannot run in a
 * transaction: `CREATE INDEX CONCURRENTLY`, say, fails with Postgres' own words that it "cannot run inside a transaction
 * block". A table that a file alters stays locked until the last file is done: what takes long belongs in a deployment of its own.
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<Migrated> {
  const migrations = await readMigrations(options.migrationsDir ?? new URL('./migrations/', import.meta.url));
  const client = new pg.Client({
    ...targetOf(databaseUrl, options),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // The server stops a statement first (`statement_timeout` below): else it would go on, with its locks, unwatched.
    query_timeout: BUDGET_MS + 10_000,
  });
  // A connection that breaks rejects its query and is an event as well, which would end the process without a listener.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await inTransaction(client, () => applyMissing(client, migrations, Date.now() + BUDGET_MS));
  } finally {
    // One that broke has ended already.
    await client.end().catch(() => undefined);
  }
}

function targetOf(databaseUrl: string, { isRdsProxy }: MigrateOptions): pg.ClientConfig {
  if (!isRdsProxy) return { connectionString: databaseUrl };
  return rdsProxyTarget({ driver: pg, databaseUrl, readRole: environment.awsRole });
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

async function inTransaction<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A connection that is gone has rolled back by itself.
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

async function applyMissing(
  client: pg.Client,
  migrations: readonly Migration[],
  giveUpAtMs: number,
): Promise<Migrated> {
  await limit(client, OTHER_MIGRATION_TIMEOUT_MS, giveUpAtMs);
  await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK_ID]);
  const missing = findMissing(migrations, await readChecksums(client));
  for (const migration of missing) {
    await limit(client, TABLE_LOCK_TIMEOUT_MS, giveUpAtMs);
    await apply(client, migration);
  }
  return { applied: missing.map(({ name }) => name) };
}

/** For this transaction only: a session's own settings would pin it to one of an RDS Proxy's connections. */
async function limit(client: pg.Client, lockTimeoutMs: number, giveUpAtMs: number): Promise<void> {
  await client.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
  await client.query(`SET LOCAL statement_timeout = ${Math.max(1, giveUpAtMs - Date.now())}`);
}

/** Of the files that were applied; none in a database that was never migrated. */
async function readChecksums(client: pg.Client): Promise<Map<string, string>> {
  await client.query(`CREATE TABLE IF NOT EXISTS prewarm_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM prewarm_migrations',
  );
  return new Map(rows.map((row) => [row.name, row.checksum]));
}

function findMissing(migrations: readonly Migration[], checksums: ReadonlyMap<string, string>): Migration[] {
  const changed = migrations.find(({ name, checksum }) => (checksums.get(name) ?? checksum) !== checksum);
  if (changed !== undefined) {
    throw new MigrationError(
      changed.name,
      'was applied and has changed since. Put the old text back and write a new file.',
    );
  }
  return migrations.filter(({ name }) => !checksums.has(name));
}

async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  try {
    await client.query(sql);
  } catch (cause) {
    throw new MigrationError(name, cause instanceof Error ? cause.message : 'failed', { cause });
  }
  if (client.getTransactionStatus() !== 'T') {
    throw new MigrationError(name, 'ended the transaction. Leave COMMIT and ROLLBACK out of it.');
  }
  await client.query('INSERT INTO prewarm_migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
}
