/** The embedded PostgreSQL 18: starts the server on loopback and makes the database. */
import { join } from 'node:path';
import { startProcess, waitUntilReady } from '../processes/processes.ts';
import { describeError, FRESH_DATA, StartError } from '../start-error.ts';
import { readOrCreatePassword } from './passwords.ts';
import { LOOPBACK } from './ports.ts';
import { withClient } from './postgres-client.ts';
import { asPostgresUser, ensureData, POSTGRES_USER, readOrCreateOwnerPassword } from './postgres-data.ts';
import { findPostgresPrograms } from './postgres-programs.ts';
import { choosePostgresUser } from './postgres-user.ts';
import { probePostgres } from './probe.ts';
import type { StartContext, StartedServer } from './start-context.ts';

const DATABASE = 'prewarm';
const READY_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 1_000;
const CREATE_TIMEOUT_MS = 30_000;

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
  await ensureData(context, { initdb, user, dataDir });
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const program = asPostgresUser(user, postgres, ['-D', dataDir, '-p', String(port), ...settings]);
  const { command, args, options } = program;
  const process = startProcess(context.run, {
    name: 'PostgreSQL',
    command,
    args,
    ...options,
    stopSignal: 'SIGINT',
  });
  const adminUrl = postgresUrl(stateDir, port, 'postgres');
  try {
    await waitUntilReady(process, () => probePostgres(adminUrl, PROBE_TIMEOUT_MS), {
      deadlineMs: READY_TIMEOUT_MS,
      signal: context.signal,
      isFinal: isWrongPassword,
    });
    await createDatabaseOnce(adminUrl);
  } catch (error) {
    await process.stop();
    context.signal.throwIfAborted();
    throw new StartError(`${describeError(error)}. ${FRESH_DATA}`);
  }
  return { process, url: postgresUrl(stateDir, port) };
}

/** PostgreSQL's code for it; waiting does not mend it. */
function isWrongPassword(error: unknown): boolean {
  return (error as { code?: string }).code === '28P01';
}

/** Where the embedded PostgreSQL of this state folder is, or will be. */
export function postgresUrl(stateDir: string, port: number, database = DATABASE): string {
  return `postgres://${POSTGRES_USER}:${readOrCreateOwnerPassword(stateDir)}@${LOOPBACK}:${port}/${database}`;
}

/** The same database for a role that the migrations make, and let in with this password. */
export function roleUrl(stateDir: string, ownerUrl: string, role: string): string {
  const url = new URL(ownerUrl);
  url.username = role;
  url.password = readOrCreatePassword(stateDir, role);
  return url.href;
}

function createDatabaseOnce(adminUrl: string): Promise<void> {
  return withClient(adminUrl, CREATE_TIMEOUT_MS, async (client) => {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  });
}
