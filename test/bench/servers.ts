/** The servers of a run, all of its own: on loopback, in folders below the checkout, ended with the run however it ends. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import type pg from 'pg';
import { identifySelf, isAlive } from '../../infra/local/processes/process-identity.ts';
import { claimRun, endLeftovers, type Run } from '../../infra/local/processes/run.ts';
import { seed } from '../../infra/local/sample-users/seed.ts';
import { findFreePort } from '../../infra/local/servers/ports.ts';
import { startPostgres } from '../../infra/local/servers/postgres.ts';
import { startRedis } from '../../infra/local/servers/redis.ts';
import { migrate } from '../../shared/postgres/migrate.ts';
import { administer, withDatabase } from '../support/test-servers.ts';
import { pin, SERVER_CPU } from './processes/cpu-affinity.ts';
import { report } from './report/table.ts';

export type BenchRedis = {
  /** Ends what is started for the run when this process dies. */
  readonly run: Run;
  readonly url: string;
  /** For the harness itself: to look, to configure, to empty. */
  readonly admin: Redis;
  /** The URL of a logical database that nobody has got yet in this run. */
  nextDatabaseUrl(): string;
  /** Stops Redis as a process, and lets it go on. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
};

/** A Redis, and a PostgreSQL with a database for each contestant. */
export type BenchServers = BenchRedis & {
  readonly postgresVersion: string;
  /** A database of the contestant's own, with all users in it. */
  makeDatabase(name: string): Promise<string>;
  /** Of all connections to it that have ended, since it was made, by PostgreSQL's own count. */
  transactionsOf(databaseUrl: string): Promise<number>;
  /** Keeps PostgreSQL's connections that are opened from now on to one processor. */
  pinPostgres(cpu: number): void;
};

export const BENCH_DIR = fileURLToPath(new URL('../../.prewarm/bench/', import.meta.url));
const RUNS_DIR = join(BENCH_DIR, 'runs');
const ADMIN_TIMEOUT_MS = 5_000;
/** A process of PostgreSQL tells what it did when its connection has ended. */
const END_TIMEOUT_MS = 5_000;
const LOOK_AGAIN_MS = 50;

/** PostgreSQL begins each connection with one of its own. */
const TRANSACTIONS = `
SELECT xact_commit + xact_rollback - sessions AS transactions
FROM pg_stat_database WHERE datname = $1`;
const CONNECTIONS = 'SELECT count(*)::int AS connections FROM pg_stat_activity WHERE datname = $1';

/** On the servers' processor. */
export async function startBenchRedis(): Promise<BenchRedis> {
  const { redis, pid } = await startOwnRedis();
  pin(pid, SERVER_CPU);
  return redis;
}

export async function startServers(users: number): Promise<BenchServers> {
  const { redis, context } = await startOwnRedis();
  const postgres = await startPostgres(context, await findFreePort());
  const adminUrl = withDatabase(postgres.url, 'postgres');
  report(`Seeding ${users.toLocaleString('en')} users`);
  const postgresVersion = await prepareTemplate(postgres.url, adminUrl, users);
  return {
    ...redis,
    postgresVersion,
    makeDatabase: (name) => copyTemplate(postgres.url, adminUrl, name),
    transactionsOf: (databaseUrl) => countTransactions(adminUrl, new URL(databaseUrl).pathname.slice(1)),
    pinPostgres: (cpu) => pin(postgres.process.pid, cpu),
    async stop() {
      await postgres.process.stop();
      await redis.stop();
    },
  };
}

async function startOwnRedis() {
  const port = await findFreePort();
  const stateDir = ownFolder(`servers-${port}`);
  const run = await claimRun({ stateDir });
  const context = { run, signal: new AbortController().signal, report };
  const { process: server, url } = await startRedis(context, port);
  const admin = new Redis(url, { commandTimeout: ADMIN_TIMEOUT_MS });
  admin.on('error', () => {}); // a frozen server is what some cases are about
  const send = (name: NodeJS.Signals) => server.isRunning && process.kill(server.pid, name);
  let databases = 0;
  const redis: BenchRedis = {
    run,
    url,
    admin,
    nextDatabaseUrl: () => `${url}/${++databases}`,
    freeze: () => void send('SIGSTOP'),
    thaw: () => void send('SIGCONT'),
    async stop() {
      admin.disconnect();
      send('SIGKILL'); // reaches a frozen process too
      await server.exited;
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
  return { redis, context, pid: server.pid };
}

/** Answers PostgreSQL's version. */
async function prepareTemplate(templateUrl: string, adminUrl: string, users: number): Promise<string> {
  let version = '';
  await administer(adminUrl, async (client) => {
    // Nothing but the contestants may use the processors, or count as a transaction.
    await client.query('ALTER SYSTEM SET autovacuum = off');
    await client.query('SELECT pg_reload_conf()');
    version =
      (await client.query<{ server_version: string }>('SHOW server_version')).rows[0]?.server_version ?? '';
  });
  await migrate(templateUrl);
  await seed(templateUrl, users);
  // What the first reader of a page would do for all later ones.
  await administer(templateUrl, (client) => client.query('VACUUM (ANALYZE) users'));
  return version;
}

async function copyTemplate(templateUrl: string, adminUrl: string, name: string): Promise<string> {
  const template = new URL(templateUrl).pathname.slice(1);
  await administer(adminUrl, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  return withDatabase(templateUrl, name);
}

/** Of all who were connected to `database`. Throws when somebody still is. */
async function countTransactions(adminUrl: string, database: string): Promise<number> {
  let transactions = Number.NaN;
  await administer(adminUrl, async (client) => {
    await waitUntilAlone(client, database);
    const { rows } = await client.query<{ transactions: string }>(TRANSACTIONS, [database]);
    transactions = Number(rows[0]?.transactions);
  });
  return transactions;
}

async function waitUntilAlone(client: pg.Client, database: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < END_TIMEOUT_MS; waitedMs += LOOK_AGAIN_MS) {
    const { rows } = await client.query<{ connections: number }>(CONNECTIONS, [database]);
    if (rows[0]?.connections === 0) return;
    await sleep(LOOK_AGAIN_MS);
  }
  throw new Error(`The connections to ${database} have not ended within ${END_TIMEOUT_MS} ms.`);
}

/** Where this process may put something below the checkout that does not outlive it for long. */
export function ownFolder(name: string): string {
  return join(RUNS_DIR, `${identifySelf()}-${name}`);
}

/** Folders of runs that died; a folder that names a living process is of a run beside this one. */
export async function removeLeftRuns(): Promise<void> {
  mkdirSync(RUNS_DIR, { recursive: true });
  for (const name of readdirSync(RUNS_DIR)) {
    const [tag = ''] = name.split('-');
    if (isAlive(tag)) continue;
    await endLeftovers(join(RUNS_DIR, name));
    rmSync(join(RUNS_DIR, name), { recursive: true, force: true });
  }
}
