/**
 * Applies the SQL files of a folder in the order of their names, each once: all that are missing, or none of them.
 * Our own, because no library does that in one transaction under a lock that ends with it (docs/decisions/0011).
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { environment } from '../environment.ts';
import { MigrationError, MigrationsBusyError, OperationTimeoutError } from '../errors.ts';
import { log } from '../logger.ts';
import { within } from '../within.ts';
import { type Login, setLogins } from './logins.ts';
import { rdsProxyTarget } from './rds-proxy.ts';

type MigrateOptions = {
  /** @default beside this file in the sources, and beside the bundle in a deployed function */
  readonly migrationsDir?: URL;
  /** @default false */
  readonly isRdsProxy?: boolean;
  /** After so long Postgres stops what it is doing; a quarter of it may go by in waiting for another deployment. @default 240,000 */
  readonly budgetMs?: number;
  /** Roles of the files, with the passwords by which they sign in from now on. @default - as they did */
  readonly logins?: readonly Login[];
};

type Migration = { readonly name: string; readonly sql: string; readonly checksum: string };

/** The connection, and when the budget of the whole migration is used up. */
type Session = { readonly client: pg.Client; readonly giveUpMonotonicMs: number };

/** Any number, the same in all deployments: two deploys at once migrate one after the other. */
const MIGRATION_LOCK_ID = 7_736_392_127;
/** Behind an ALTER that waits for its lock, every read of the table waits as well: so it does not wait long. */
const TABLE_LOCK_TIMEOUT_MS = 3_000;
/**
 * The function that migrates has 300 s and must still say that it failed. At worst the budget, the wait for a Postgres that
 * has fallen silent (5 s), its connection's end (1 s) and three tries of the answer to CloudFormation (5 s each): 261 s.
 */
const BUDGET_MS = 240_000;
const REPLY_TIMEOUT_MS = 5_000;
const DISCONNECT_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** How often a migration is tried: as often as deployments to databases of one server may meet. */
const TRIES_MAX = 5;
/** The code of what `lock_timeout` ended: lock_not_available. */
const LOCK_TIMED_OUT = '55P03';

/**
 * Brings the database at `databaseUrl` up to date and answers the names of the files that were applied now; nothing of any
 * file stays when it throws
 * - `MigrationError`: a file fails, is not done within the budget, or was applied and has changed since;
 * - `MigrationsBusyError`: another deployment is still migrating;
 * - `OperationTimeoutError`: Postgres has fallen silent. Should that be at the very end, the files may be applied: the next
 *   call finds out.
 *
 * All files of one call are one transaction, and each file is run by EXECUTE. So Postgres refuses, in its own words,
 * - BEGIN, COMMIT, ROLLBACK and SAVEPOINT; a `DO` block with EXCEPTION does what a savepoint does;
 * - what cannot run in a transaction, as VACUUM and `CREATE INDEX CONCURRENTLY`;
 * - `COPY` from the client, and `SELECT … INTO` for `CREATE TABLE … AS`.
 * The role and the settings that a file chooses end with the file. A table that it alters stays locked until the last file
 * is done: what takes long belongs in a deployment of its own.
 */
export async function migrate(
  databaseUrl: string,
  options: MigrateOptions = {},
): Promise<{ readonly applied: readonly string[] }> {
  const { migrationsDir = new URL('./migrations/', import.meta.url), budgetMs = BUDGET_MS } = options;
  const migrations = await readMigrations(migrationsDir);
  const target = targetOf(databaseUrl, options);
  const client = new pg.Client({ ...target, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A connection that breaks rejects its query and is an event as well, which would end the process without a listener.
  client.on('error', () => undefined);
  // What a file could not do, and is no reason to fail; not what Postgres remarks on.
  client.on('notice', ({ severity, message: reason }) => {
    if (severity === 'WARNING') log.warn('migration.warned', 'Postgres warned of a migration.', { reason });
  });
  const session = { client, giveUpMonotonicMs: performance.now() + budgetMs };
  const timeoutMs = budgetMs + REPLY_TIMEOUT_MS;
  try {
    const work = () => applyMissing(session, migrations, { turnTimeoutMs: budgetMs / 4, ...options });
    const applied = await within(timeoutMs, connectAndCommit(client, work));
    if (applied === undefined) throw new OperationTimeoutError('migrate', timeoutMs);
    return { applied };
  } finally {
    // The driver waits for the server's goodbye, and a frozen server says none.
    await within(DISCONNECT_TIMEOUT_MS, client.end());
    client.connection.stream.destroy();
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

/** Anew when it was overtaken: roles are the whole server's, and the turn is one database's. */
async function connectAndCommit<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.connect();
  for (let tries = 1; ; tries++) {
    try {
      await client.query('BEGIN');
      const result = await work();
      await client.query('COMMIT');
      return result;
    } catch (error) {
      // A connection that is gone has rolled back by itself.
      await client.query('ROLLBACK').catch(() => undefined);
      const isOvertaken = error instanceof Error && error.message.includes('tuple concurrently updated');
      if (tries === TRIES_MAX || !isOvertaken) throw error;
    }
  }
}

async function applyMissing(
  session: Session,
  migrations: readonly Migration[],
  { turnTimeoutMs, logins = [] }: Pick<MigrateOptions, 'logins'> & { readonly turnTimeoutMs: number },
): Promise<string[]> {
  const { client } = session;
  // As everybody who comes to this connection of a proxy expects them.
  const settings = await readSettings(client);
  await awaitTurn(session, turnTimeoutMs);
  await limit(session, TABLE_LOCK_TIMEOUT_MS);
  const missing = findMissing(migrations, await readChecksums(client));
  for (const migration of missing) await apply(session, migration, settings);
  if (logins.length > 0) await setLogins(client, logins);
  return missing.map(({ name }) => name);
}

async function awaitTurn(session: Session, timeoutMs: number): Promise<void> {
  await limit(session, timeoutMs);
  try {
    await session.client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK_ID]);
  } catch (cause) {
    if ((cause as { code?: string }).code !== LOCK_TIMED_OUT) throw cause;
    const told = `Another deployment has been migrating for ${timeoutMs / 1_000} s; deploy again when it is done.`;
    throw new MigrationsBusyError(told, { cause });
  }
}

/** For this transaction only: a session's own settings would pin it to one of an RDS Proxy's connections. */
async function limit({ client, giveUpMonotonicMs }: Session, lockTimeoutMs: number): Promise<void> {
  const leftMs = Math.max(1, Math.ceil(giveUpMonotonicMs - performance.now()));
  await client.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
  await client.query(`SET LOCAL statement_timeout = ${leftMs}`);
}

/** All that a file may change, as JSON. */
async function readSettings(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ settings: string }>(`
    SELECT json_object_agg(name, current_setting(name))::text AS settings
    FROM pg_settings WHERE context IN ('user', 'superuser')`);
  return rows[0]?.settings ?? '{}';
}

/**
 * For the rest of the session: a proxy gives the connection to others afterwards. `RESET ALL` would undo what the proxy's
 * initialisation query has set too. The role comes first, because others may not see all settings.
 */
async function restoreSettings(client: pg.Client, settings: string): Promise<void> {
  await client.query('RESET ROLE');
  await client.query(
    `SELECT set_config(name, value, false) FROM json_each_text($1) AS before (name, value)
     WHERE current_setting(name) <> value`,
    [settings],
  );
}

/** The checksums of the files that were applied; none in a database that was never migrated. */
async function readChecksums(client: pg.Client): Promise<Map<string, string>> {
  await client.query(`CREATE TABLE IF NOT EXISTS prewarm_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
  const { rows } = await client.query('SELECT name, checksum FROM prewarm_migrations');
  return new Map(rows.map(({ name, checksum }) => [name, checksum]));
}

function findMissing(migrations: readonly Migration[], checksums: ReadonlyMap<string, string>): Migration[] {
  const changed = migrations.find(({ name, checksum }) => (checksums.get(name) ?? checksum) !== checksum);
  if (!changed) return migrations.filter(({ name }) => !checksums.has(name));
  const problem = 'was applied and has changed since. Put the old text back and write a new file.';
  throw new MigrationError(changed.name, problem);
}

/** What comes after the file, COMMIT too, has what is left of the budget, whatever the file has set. */
async function apply(session: Session, migration: Migration, settings: string): Promise<void> {
  const { client } = session;
  const { name, sql, checksum } = migration;
  try {
    await client.query(asOneStatement(client, sql));
    await restoreSettings(client, settings);
    await limit(session, TABLE_LOCK_TIMEOUT_MS);
    await client.query('INSERT INTO prewarm_migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
  } catch (cause) {
    throw new MigrationError(name, cause instanceof Error ? cause.message : 'failed', { cause });
  }
}

/**
 * Of a file's statements, each would have the whole time limit for itself, and a COMMIT among them would keep half of a
 * deployment. Within one statement the limit is for all, and COMMIT is refused.
 */
function asOneStatement(client: pg.Client, sql: string): string {
  return `DO ${client.escapeLiteral(`BEGIN EXECUTE ${client.escapeLiteral(sql)}; END`)}`;
}
