/** The embedded PostgreSQL 18: starts the server on loopback and makes the database. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { type ServerProcess, startProcess, waitUntilReady } from '../processes/processes.ts';
import { describeError, StartError } from '../start-error.ts';
import { readOrCreatePassword } from './passwords.ts';
import { LOOPBACK } from './ports.ts';
import {
  FRESH_DATA,
  initialise,
  openWay,
  POSTGRES_USER,
  readOrCreateOwnerPassword,
} from './postgres-data.ts';
import { findPostgresPrograms, minimalEnvironment } from './postgres-programs.ts';
import { choosePostgresUser, type PostgresUser } from './postgres-user.ts';
import { probePostgres } from './probe.ts';
import type { StartContext } from './start-context.ts';

const DATABASE = 'prewarm';
const READY_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 1_000;

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

export type PostgresServer = { readonly process: ServerProcess; readonly url: string };

export async function startPostgres(context: StartContext, port: number): Promise<PostgresServer> {
  const { initdb, postgres } = await findPostgresPrograms();
  const user = choosePostgresUser();
  const { stateDir } = context.run;
  const dataDir = join(stateDir, 'postgres');
  openWay(context.run, user);
  if (!existsSync(dataDir)) await initialise(context, { initdb, user, dataDir });
  const process = startProcess(context.run, describeServer(postgres, user, dataDir, port));
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

function describeServer(postgres: string, user: PostgresUser, dataDir: string, port: number) {
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [command = postgres, ...args] = [
    ...user.prefix,
    postgres,
    '-D',
    dataDir,
    '-p',
    String(port),
    ...settings,
  ];
  return {
    name: 'PostgreSQL',
    command,
    args,
    ...user.spawnAs,
    cwd: '/',
    env: minimalEnvironment(),
    stopSignal: 'SIGINT' as const,
  };
}

async function createDatabaseOnce(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: PROBE_TIMEOUT_MS });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}
