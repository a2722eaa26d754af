/** The start of everything, in order: servers and synthesis side by side, then the stage, migration, sample users, deployment hook. */
import { createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { databaseRoles } from '../users.ts';
import { type ControlServer, startControlServer } from './control-server.ts';
import { holdsNothingElse } from './database-owner.ts';
import { deploy } from './deployment.ts';
import { loadOrCreateIdentity } from './identity.ts';
import type { Options } from './options.ts';
import type { Parts } from './processes/parts.ts';
import type { Run } from './processes/run.ts';
import { planServers, type Servers, type ServerUrls, startServers } from './servers/index.ts';
import { roleUrl } from './servers/postgres.ts';
import { type LocalStage, startStage } from './stage.ts';
import { type Closing, formatClosing, signStartToken } from './summary.ts';
import { synthesise } from './synthesise.ts';
import type { Terminal } from './terminal.ts';

export type StartOptions = {
  readonly options: Options;
  readonly run: Run;
  readonly terminal: Terminal;
  /** Everything that runs is put here, also before it is ready, so that it can be stopped at any time. */
  readonly parts: Parts;
  readonly signal: AbortSignal;
};

/** One after the other within the 5 s promised, the API first: what it still answers needs the servers. */
const STOP_LIMITS_MS = { stage: 2_000, servers: 2_300, control: 300 };
/** What `--fresh` removes: data, never the identity, whose tokens people may still hold. */
const DATA = [
  ...['postgres', 'redis', 'pushgateway', 'cdk.out'],
  ...['postgres', 'redis', ...Object.values(databaseRoles)].map((owner) => `${owner}.password`),
];

/** Resolves when the API answers and the first warm-up has reported. */
export async function startPrewarm(start: StartOptions): Promise<void> {
  const { options, run, terminal, parts } = start;
  if (options.fresh) removeData(run.stateDir);
  const identity = await loadOrCreateIdentity(run.stateDir);
  const control = await parts.add(startControlServer({ jwks: identity.jwks }), {
    limitMs: STOP_LIMITS_MS.control,
    run: (server) => server.close(),
  });
  const servers = await startServersAndSynthesise(start, control);
  const seeds = await admitDatabase(options, servers);
  const stage = await parts.add(serve(start, control), {
    limitMs: STOP_LIMITS_MS.stage,
    run: (serving) => serving.stop(),
  });
  const isExternal = options.use.databaseUrl !== undefined;
  const warmup = await deploy({ stage, terminal, databaseUrl: servers.databaseUrl, isExternal, seeds });
  terminal.line(`\n${warmup}`);
  const token = await signStartToken(identity);
  terminal.line(
    formatClosing(await describeClosing({ url: stage.url, token, servers, stateDir: run.stateDir })),
  );
}

/** Whether the sample users belong there: where Prewarm makes everything, and where somebody says so. */
async function admitDatabase({ use, adopt, seed }: Options, { databaseUrl }: Servers): Promise<boolean> {
  if (use.databaseUrl === undefined) return true;
  return (await holdsNothingElse(databaseUrl, adopt)) || seed;
}

function removeData(stateDir: string): void {
  for (const name of DATA) rmSync(join(stateDir, name), { recursive: true, force: true });
}

/** The addresses are known before the servers run; only if one changed while they started, the template is made again. */
async function startServersAndSynthesise(start: StartOptions, control: ControlServer): Promise<Servers> {
  const { options, run, terminal, parts } = start;
  const plan = await planServers(run.stateDir, options.use);
  const failed = new AbortController(); // when one of the two fails, the other one need not go on
  const signal = AbortSignal.any([start.signal, failed.signal]);
  const orAbortBoth = (error: unknown) => {
    failed.abort(error);
    throw error;
  };
  const make = (urls: ServerUrls) =>
    terminal.run('Synthesis of the CDK app', () =>
      synthesise(describeAssembly(start, urls, control, signal)),
    );
  const begin = () => startServers({ run, plan, report: (step) => terminal.line(`  ${step}`), signal });
  const starting = parts.add(terminal.run('PostgreSQL, Redis and Pushgateway', begin), {
    limitMs: STOP_LIMITS_MS.servers,
    run: (servers) => servers.stop(),
  });
  const [servers] = await Promise.all([starting.catch(orAbortBoth), make(plan.urls).catch(orAbortBoth)]);
  servers.onCrash(parts.reportCrash);
  if (!isSame(plan.urls, servers)) await make(servers);
  return servers;
}

function describeAssembly(
  { run, options }: StartOptions,
  { redisUrl, databaseUrl, pushgatewayUrl }: ServerUrls,
  { jwksUri }: ControlServer,
  signal: AbortSignal,
) {
  const roleUrls = options.use.databaseUrl === undefined ? roleUrlsOf(run, databaseUrl) : {};
  return {
    addresses: { redisUrl, databaseUrl, ...roleUrls, pushgatewayUrl, jwksUri },
    outDir: join(run.stateDir, 'cdk.out'),
    signal,
    watcher: run,
  };
}

/** Of the embedded database only: one that DATABASE_URL names has users of somebody else's, so all sign in by that URL. */
function roleUrlsOf({ stateDir }: Run, databaseUrl: string) {
  return {
    readerDatabaseUrl: roleUrl(stateDir, databaseUrl, databaseRoles.reader),
    warmerDatabaseUrl: roleUrl(stateDir, databaseUrl, databaseRoles.warmer),
  };
}

function isSame(one: ServerUrls, other: ServerUrls): boolean {
  return (
    one.redisUrl === other.redisUrl &&
    one.databaseUrl === other.databaseUrl &&
    one.pushgatewayUrl === other.pushgatewayUrl
  );
}

function serve({ options, run, terminal }: StartOptions, control: ControlServer): Promise<LocalStage> {
  const file = createWriteStream(functionsLog(run.stateDir), { flags: 'w', mode: 0o600 });
  const log = (line: string) => {
    file.write(`${line}\n`);
    if (options.logs) terminal.line(line);
  };
  const { port, containersPerFunction, freeze } = options;
  const assemblyDir = join(run.stateDir, 'cdk.out');
  return startStage({ assemblyDir, port, control, containersPerFunction, log, freeze, watcher: run });
}

function functionsLog(stateDir: string): string {
  return join(stateDir, 'functions.log');
}

async function describeClosing(facts: {
  url: string;
  token: string;
  servers: Servers;
  stateDir: string;
}): Promise<Closing> {
  const { url, token, servers, stateDir } = facts;
  const topUser = await findTopUser(servers.databaseUrl);
  return {
    url,
    token,
    topUser,
    pushgatewayUrl: servers.pushgatewayUrl,
    functionsLog: functionsLog(stateDir),
    stateDir,
  };
}

async function findTopUser(databaseUrl: string): Promise<Closing['topUser']> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 3_000,
    query_timeout: 3_000,
  });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; displayName: string }>(
      'SELECT id, display_name AS "displayName" FROM users ORDER BY follower_count DESC, id LIMIT 1',
    );
    return rows[0] ?? { id: '1', displayName: 'Ada' };
  } finally {
    await client.end();
  }
}
