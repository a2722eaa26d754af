/** The data folder of the embedded PostgreSQL: made once by initdb, complete or not at all, with a password of its own. */
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { draftOf } from '../drafts.ts';
import { runCommand } from '../processes/command.ts';
import { describeError, FRESH_DATA, StartError } from '../start-error.ts';
import { passwordFile, readOrCreatePassword } from './passwords.ts';
import type { PostgresUser } from './postgres-user.ts';
import type { StartContext } from './start-context.ts';

/** The superuser of the embedded PostgreSQL. */
export const POSTGRES_USER = 'prewarm';
const INITDB_TIMEOUT_MS = 60_000;

/** A password even on loopback: without one, every user of this machine would be the database's superuser. */
const INITDB_OPTIONS = [
  `--username=${POSTGRES_USER}`,
  '--auth=scram-sha-256',
  '--encoding=UTF8',
  '--locale=C',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  '--no-sync',
];

/** The command line, and as whom and with which environment it runs. */
export function asPostgresUser(user: PostgresUser, program: string, args: readonly string[]) {
  const [command = program, ...rest] = [...user.prefix, program, ...args];
  // PGDATA, PGPORT, LC_ALL and their like, set for another PostgreSQL, must not reach this one.
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
  return { command, args: rest, options: { ...user.spawnAs, cwd: '/', env } };
}

/** Makes the folder if it is not there. initdb cannot be repeated: it works in a draft, which gets the name when it is complete. */
export async function ensureData(
  { run, report, signal }: StartContext,
  { initdb, user, dataDir }: { initdb: string; user: PostgresUser; dataDir: string },
): Promise<void> {
  // Without setpriv, the other user must be able to pass the state folder, which was closed before this start.
  if (user.spawnAs.uid !== undefined) chmodSync(run.stateDir, 0o711);
  if (existsSync(dataDir)) return;
  report('PostgreSQL: making its data folder (once)');
  const draft = draftOf(dataDir);
  const [data, password] = [join(draft, 'data'), join(draft, 'password')];
  mkdirSync(draft, { mode: 0o700 });
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(password, readOrCreateOwnerPassword(run.stateDir), { mode: 0o600 });
  for (const path of user.owner ? [draft, data, password] : [])
    chownSync(path, user.owner?.uid ?? 0, user.owner?.gid ?? 0);
  const args = ['-D', data, `--pwfile=${password}`, ...INITDB_OPTIONS];
  const { command, args: all, options } = asPostgresUser(user, initdb, args);
  try {
    await runCommand(command, all, { ...options, timeoutMs: INITDB_TIMEOUT_MS, signal, watcher: run });
    renameSync(data, dataDir);
  } catch (error) {
    signal.throwIfAborted();
    const reason = describeError(error);
    throw new StartError(`PostgreSQL could not make its data folder: ${reason}. ${waysOut(user, reason)}.`);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function waysOut({ spawnAs }: PostgresUser, reason: string): string {
  const own = 'set DATABASE_URL to a PostgreSQL of yours';
  if (reason.includes('could not look up effective user ID'))
    return `It needs a user with a name, and uid ${process.getuid?.()} has no entry in /etc/passwd: start Prewarm as a user who has one, or ${own}`;
  if (spawnAs.uid === undefined) return `Try again, or ${own}`;
  return `It does not run as root: start Prewarm as an ordinary user, install setpriv (package util-linux), or ${own}`;
}

export function readOrCreateOwnerPassword(stateDir: string): string {
  // A new password would not open the old data.
  if (!existsSync(passwordFile(stateDir, 'postgres')) && existsSync(join(stateDir, 'postgres')))
    throw new StartError(
      `PostgreSQL's data is in ${stateDir}, but its password, postgres.password, is missing. ${FRESH_DATA}`,
    );
  return readOrCreatePassword(stateDir, 'postgres');
}
