/** The servers of a run: a real Redis, and a real PostgreSQL with a database for each contestant; all of the run's own. */
import { rmSync } from 'node:fs';
import { Redis } from 'ioredis';
import { claimRun, type Run } from '../../../infra/local/processes/run.ts';
import { seed } from '../../../infra/local/sample-users/seed.ts';
import { findFreePort } from '../../../infra/local/servers/ports.ts';
import { startPostgres } from '../../../infra/local/servers/postgres.ts';
import { startRedis } from '../../../infra/local/servers/redis.ts';
import { migrate } from '../../../shared/postgres/migrate.ts';
import { administer, withDatabase } from '../../support/test-servers.ts';
import { pin } from '../processes/cpu-affinity.ts';
import { ownFolder } from '../servers.ts';
import { countTransactions } from './transactions.ts';

export type DeployServers = {
  /** Ends what is started for the run when this process dies. */
  readonly run: Run;
  readonly redisUrl: string;
  /** For the harness itself: to look, and to empty. */
  readonly redis: Redis;
  readonly postgresVersion: string;
  /** A database of the contestant's own, with all users in it. */
  makeDatabase(name: string): Promise<string>;
  /** Of all connections to it that have ended, since it was made, by PostgreSQL's own count. */
  transactionsOf(databaseUrl: string): Promise<number>;
  /** Keeps PostgreSQL's connections that are opened from now on to one processor. */
  pinPostgres(cpu: number): void;
  /** Stops Redis as a process, and lets it go on. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
};

const ADMIN_TIMEOUT_MS = 5_000;

export async function startDeployServers(
  users: number,
  report: (step: string) => void,
): Promise<DeployServers> {
  const stateDir = ownFolder('deploy');
  const run = await claimRun({ stateDir });
  const context = { run, signal: new AbortController().signal, report };
  const postgres = await startPostgres(context, await findFreePort());
  const { process: redisServer, url: redisUrl } = await startRedis(context, await findFreePort());
  const redis = new Redis(redisUrl, { commandTimeout: ADMIN_TIMEOUT_MS });
  const adminUrl = withDatabase(postgres.url, 'postgres');
  report(`Seeding ${users.toLocaleString('en')} users`);
  const postgresVersion = await prepareTemplate(postgres.url, adminUrl, users);
  return {
    run,
    redisUrl,
    redis,
    postgresVersion,
    makeDatabase: (name) => copyTemplate(postgres.url, adminUrl, name),
    transactionsOf: (databaseUrl) => countTransactions(adminUrl, new URL(databaseUrl).pathname.slice(1)),
    pinPostgres: (cpu) => pin(postgres.process.pid, cpu),
    freeze: () => void process.kill(redisServer.pid, 'SIGSTOP'),
    thaw: () => void process.kill(redisServer.pid, 'SIGCONT'),
    async stop() {
      redis.disconnect();
      await Promise.all([postgres.process.stop(), redisServer.stop()]);
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
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
