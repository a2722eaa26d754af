/** The data folder of the embedded PostgreSQL: made once by initdb, complete or not at all, with a password of its own. */
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { draftOf } from '../drafts.ts';
import { runCommand } from '../processes/command.ts';
import type { Run } from '../processes/run.ts';
import { describeError, StartError } from '../start-error.ts';
import { passwordFile, readOrCreatePassword } from './passwords.ts';
import { minimalEnvironment } from './postgres-programs.ts';
import type { PostgresUser } from './postgres-user.ts';
import type { StartContext } from './start-context.ts';

/** The superuser of the embedded PostgreSQL. */
export const POSTGRES_USER = 'prewarm';
/** The way out of damaged data. */
export const FRESH_DATA = 'npm start -- --fresh makes new data.';
const INITDB_TIMEOUT_MS = 60_000;

/** initdb cannot be repeated: it works in a draft folder, which gets its name when it is complete. */
export async function initialise(
  context: StartContext,
  options: { initdb: string; user: PostgresUser; dataDir: string },
): Promise<void> {
  context.report('PostgreSQL: making its data folder (once)');
  const draft = draftOf(options.dataDir);
  mkdirSync(draft, { mode: 0o700 });
  const password = join(draft, 'password');
  writeFileSync(password, readOrCreateOwnerPassword(context.run.stateDir), { mode: 0o600 });
  mkdirSync(join(draft, 'data'), { mode: 0o700 });
  giveTo(options.user, [draft, password, join(draft, 'data')]);
  await runInitdb(context, options.initdb, options.user, draft);
  renameSync(join(draft, 'data'), options.dataDir);
  rmSync(draft, { recursive: true });
}

async function runInitdb(
  context: StartContext,
  initdb: string,
  user: PostgresUser,
  draft: string,
): Promise<void> {
  const [command = initdb, ...args] = [
    ...user.prefix,
    initdb,
    '-D',
    join(draft, 'data'),
    ...initdbOptions(draft),
  ];
  const { spawnAs } = user;
  const options = {
    ...spawnAs,
    cwd: '/',
    env: minimalEnvironment(),
    timeoutMs: INITDB_TIMEOUT_MS,
    signal: context.signal,
    watcher: context.run,
  };
  try {
    await runCommand(command, args, options);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    context.signal.throwIfAborted();
    throw new StartError(
      `PostgreSQL could not make its data folder: ${describeError(error)}. ${waysOut(user, describeError(error))}.`,
    );
  }
}

/** A password even on loopback: without one, every user of this machine would be the database's superuser. */
function initdbOptions(draft: string): string[] {
  return [
    `--username=${POSTGRES_USER}`,
    '--auth=scram-sha-256',
    `--pwfile=${join(draft, 'password')}`,
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-sync',
  ];
}

function waysOut({ spawnAs }: PostgresUser, reason: string): string {
  const own = 'set DATABASE_URL to a PostgreSQL of yours';
  if (reason.includes('could not look up effective user ID'))
    return `It needs a user with a name, and uid ${process.getuid?.()} has no entry in /etc/passwd: start Prewarm as a user who has one, or ${own}`;
  if (spawnAs.uid === undefined) return `Try again, or ${own}`;
  return `It does not run as root: start Prewarm as an ordinary user, install setpriv (package util-linux), or ${own}`;
}

/** Without setpriv, the other user must be able to pass the state folder, which was closed before this start. */
export function openWay({ stateDir }: Run, { spawnAs }: PostgresUser): void {
  if (spawnAs.uid !== undefined) chmodSync(stateDir, 0o711);
}

function giveTo({ owner }: PostgresUser, paths: readonly string[]): void {
  if (owner !== undefined) for (const path of paths) chownSync(path, owner.uid, owner.gid);
}

export function readOrCreateOwnerPassword(stateDir: string): string {
  // A new password would not open the old data.
  if (!existsSync(passwordFile(stateDir, 'postgres')) && existsSync(join(stateDir, 'postgres')))
    throw new StartError(
      `PostgreSQL's data is in ${stateDir}, but its password, postgres.password, is missing. ${FRESH_DATA}`,
    );
  return readOrCreatePassword(stateDir, 'postgres');
}
