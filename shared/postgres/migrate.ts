/** Applies the SQL files of a folder in the order of their names, each once: all that are missing, or none of them. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { environment } from '../environment.ts';
import { MigrationError, MigrationsBusyError, OperationTimeoutError } from '../errors.ts';
import { within } from '../within.ts';
import { rdsProxyTarget } from './rds-proxy.ts';

export type Migrated = { readonly applied: readonly string[] };

type MigrateOptions = {
  /** @default beside this file in the sources, and beside the bundle in a deployed function */
  readonly migrationsDir?: URL;
  /** @default false */
  readonly isRdsProxy?: boolean;
  /** For everything but the connecting. @default 240,000: the function has 300 s, and must still say that it failed */
  readonly budgetMs?: number;
};

type Migration = { readonly name: string; readonly sql: string; readonly checksum: string };

/** Any number, the same in all deployments: two deploys at once migrate one after the other. */
const MIGRATION_LOCK_ID = 7_736_392_127;
/** How long another deployment may migrate before this one gives up. */
const OTHER_MIGRATION_TIMEOUT_MS = 60_000;
/** Behind an ALTER that waits for its lock, every read of the table waits as well: so it does not wait long. */
const TABLE_LOCK_TIMEOUT_MS = 3_000;
/** With the connecting before it, and what comes after it when Postgres is silent, 265 s of the function's 300. */
const BUDGET_MS = 240_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Postgres stops the work itself, at the end of the budget; this is for one that has fallen silent. */
const SILENCE_MAX_MS = 10_000;
const CLOSE_TIMEOUT_MS = 5_000;
/** lock_not_available, by `lock_timeout`. */
const LOCK_TIMED_OUT = '55P03';

/**
 * Brings the database at `databaseUrl` up to date and answers the names of the files that were applied now.
 * Throws `MigrationError` when a file fails or an applied file has changed since; nothing of any file stays then.
 *
 * All files of one call are one transaction. So a file holds no BEGIN or COMMIT, and nothing that cannot run in a
 * transaction: `CREATE INDEX CONCURRENTLY`, say, fails with Postgres' own words. A table that a file alters stays locked until the last file is done: what takes long belongs in a deployment of its own.
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<Migrated> {
  const migrations = await readMigrations(options.migrationsDir ?? new URL('./migrations/', import.meta.url));
  const budgetMs = options.budgetMs ?? BUDGET_MS;
  const target = targetOf(databaseUrl, options);
  const client = new pg.Client({ ...target, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A connection that breaks rejects its query and is an event as well, which would end the process without a listener.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const work = inTransaction(client, () => applyMissing(client, migrations, Date.now() + budgetMs));
    const migrated = await within(budgetMs + SILENCE_MAX_MS, work);
    if (migrated === undefined) throw new OperationTimeoutError('migrate', budgetMs + SILENCE_MAX_MS);
    return migrated;
  } finally {
    // One that broke has ended already, and one with a query under way is cut off.
    await within(CLOSE_TIMEOUT_MS, client.end()).catch(() => undefined);
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
  await awaitTurn(client);
  const missing = findMissing(migrations, await readChecksums(client));
  for (const migration of missing) {
    await limit(client, TABLE_LOCK_TIMEOUT_MS, giveUpAtMs);
    await apply(client, migration);
    await limit(client, TABLE_LOCK_TIMEOUT_MS, giveUpAtMs);
    await remember(client, migration);
  }
  return { applied: missing.map(({ name }) => name) };
}

async function awaitTurn(client: pg.Client): Promise<void> {
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK_ID]);
  } catch (cause) {
    if ((cause as { code?: string }).code !== LOCK_TIMED_OUT) throw cause;
    throw new MigrationsBusyError('Another deployment migrates; deploy again when it is done.', { cause });
  }
}

/** And nothing else is set: a file may have chosen another `search_path`, as those that pg_dump writes do. */
async function limit(client: pg.Client, lockTimeoutMs: number, giveUpAtMs: number): Promise<void> {
  await client.query(
    `RESET ALL; SET LOCAL lock_timeout = ${lockTimeoutMs}; SET LOCAL statement_timeout = ${Math.max(1, giveUpAtMs - Date.now())}`,
  );
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

/**
 * As one statement: Postgres' limit is for each, and a file may hold many; and within one, COMMIT is refused before it has
 * kept half of a deployment.
 */
async function apply(client: pg.Client, { name, sql }: Migration): Promise<void> {
  try {
    await client.query(`DO ${client.escapeLiteral(`BEGIN EXECUTE ${client.escapeLiteral(sql)}; END`)}`);
  } catch (cause) {
    throw new MigrationError(name, cause instanceof Error ? cause.message : 'failed', { cause });
  }
}

async function remember(client: pg.Client, { name, checksum }: Migration): Promise<void> {
  await client.query('INSERT INTO prewarm_migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
}
