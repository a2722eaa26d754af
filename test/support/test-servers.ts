/** The one set of real servers of a test run: in a folder of its own, with template databases, removed afterwards. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { readOptions } from '../../infra/local/options.ts';
import { identifySelf, isAlive } from '../../infra/local/processes/process-identity.ts';
import { claimRun, endLeftovers } from '../../infra/local/processes/run.ts';
import { seed } from '../../infra/local/sample-users/seed.ts';
import { planServers, startServers } from '../../infra/local/servers/index.ts';
import { migrate } from '../../shared/postgres/migrate.ts';

/** What test files get to know. Serialisable: they run in other processes. */
export type TestServers = {
  readonly redisUrl: string;
  /** Names the database that administers: make others from a template, keep out of this one. */
  readonly adminDatabaseUrl: string;
  readonly pushgatewayUrl: string;
  readonly runId: string;
  readonly stateDir: string;
  readonly templates: { readonly migrated: string; readonly seeded: string };
};

const TESTS_DIR = fileURLToPath(new URL('../../.prewarm/test/', import.meta.url));

export async function startTestServers(): Promise<TestServers & { stop(): Promise<void> }> {
  await removeLeftovers();
  const runId = identifySelf();
  const stateDir = join(TESTS_DIR, runId);
  const run = await claimRun({ stateDir });
  useTemporaryFolder(join(stateDir, 'tmp'));
  const { use } = readOptions([], process.env); // REDIS_URL, DATABASE_URL and PUSHGATEWAY_URL, as `npm start` reads them
  const plan = await planServers(stateDir, use, 'everybody');
  const servers = await startServers({ run, plan, report: announce });
  const templates = { migrated: `prewarm_test_${runId}_migrated`, seeded: `prewarm_test_${runId}_seeded` };
  await makeTemplates(servers.databaseUrl, templates);
  return {
    redisUrl: servers.redisUrl,
    adminDatabaseUrl: servers.databaseUrl,
    pushgatewayUrl: servers.pushgatewayUrl,
    runId,
    stateDir,
    templates,
    async stop() {
      await dropDatabasesOf(servers.databaseUrl, runId);
      await servers.stop();
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** For this process and all that it starts: what a test or a library forgets there goes with the run. */
function useTemporaryFolder(folder: string): void {
  mkdirSync(folder);
  process.env['TMPDIR'] = folder;
}

function announce(step: string): void {
  process.stderr.write(`${step}\n`);
}

/** Folders of runs that died; a folder whose name is a living process's is of a run beside this one. */
async function removeLeftovers(): Promise<void> {
  mkdirSync(TESTS_DIR, { recursive: true });
  for (const name of readdirSync(TESTS_DIR)) {
    if (isAlive(name)) continue;
    await endLeftovers(join(TESTS_DIR, name));
    rmSync(join(TESTS_DIR, name), { recursive: true, force: true });
  }
}

/** Migrated and seeded once: a copy takes a tenth of a second, seeding one. */
async function makeTemplates(adminUrl: string, templates: TestServers['templates']): Promise<void> {
  await administer(adminUrl, (client) => client.query(`CREATE DATABASE ${templates.migrated}`));
  await migrate(withDatabase(adminUrl, templates.migrated));
  await administer(adminUrl, (client) =>
    client.query(`CREATE DATABASE ${templates.seeded} TEMPLATE ${templates.migrated}`),
  );
  await seed(withDatabase(adminUrl, templates.seeded));
}

/** Also what a test file that was cut short has left. */
async function dropDatabasesOf(adminUrl: string, runId: string): Promise<void> {
  await administer(adminUrl, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [`prewarm_test_${runId}_`],
    );
    for (const { datname } of rows) await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
  });
}

export async function administer(
  adminUrl: string,
  work: (client: pg.Client) => Promise<unknown>,
): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

export function withDatabase(databaseUrl: string, name: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  return url.href;
}
