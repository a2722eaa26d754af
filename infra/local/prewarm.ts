/** The start of everything, in order: servers and synthesis side by side, then the stage, migration, sample users, deployment hook. */
import { createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
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
import { withClient } from './servers/postgres-client.ts';
import { type LocalStage, startStage } from './stage.ts';
import { formatClosing, signStartToken, type TopUser } from './summary.ts';
import { synthesise } from './synthesise.ts';
import type { Terminal } from './terminal.ts';

type StartOptions = {
  readonly options: Options;
  readonly run: Run;
  readonly terminal: Terminal;
  /** Everything that runs is put here, also before it is ready, so that it can be stopped at any time. */
  readonly parts: Parts;
  reportCrash(part: string, detail: string): void;
  readonly signal: AbortSignal;
};

/** One after the other within the 5 s promised, the API first: what it still answers needs the servers. */
const STOP_LIMITS_MS = { stage: 2_000, synthesis: 300, servers: 2_300, control: 300 };
/** What `--fresh` removes: data, never the identity, whose tokens people may still hold. */
const DATA = [
  ...['postgres', 'redis', 'pushgateway', 'cdk.out'],
  ...['postgres', 'redis', ...Object.values(databaseRoles)].map((owner) => `${owner}.password`),
];
const TOP_USER_TIMEOUT_MS = 3_000;

/** Resolves when the API answers and the first warm-up has reported. */
export async function startPrewarm(start: StartOptions): Promise<void> {
  const { options, run, terminal, parts } = start;
  const { stateDir } = run;
  if (options.fresh) for (const name of DATA) rmSync(join(stateDir, name), { recursive: true, force: true });
  const identity = await loadOrCreateIdentity(stateDir);
  const starting = startControlServer({ jwks: identity.jwks });
  const control = await parts.add(starting, STOP_LIMITS_MS.control, (server) => server.close());
  const { databaseUrl, pushgatewayUrl } = await startServersAndSynthesise(start, control);
  const seeds = await admitDatabase(options, databaseUrl);
  const functionsLog = join(stateDir, 'functions.log');
  const stage = await parts.add(serve(start, control, functionsLog), STOP_LIMITS_MS.stage, (serving) =>
    serving.stop(),
  );
  const isExternal = options.use.databaseUrl !== undefined;
  terminal.line(`\n${await deploy({ stage, terminal, databaseUrl, isExternal, seeds })}`);
  const [token, topUser] = [await signStartToken(identity), await findTopUser(databaseUrl)];
  terminal.line(formatClosing({ url: stage.url, token, topUser, pushgatewayUrl, functionsLog, stateDir }));
}

/** Whether the sample users belong there: where Prewarm makes everything, and where somebody says so. */
async function admitDatabase({ use, adopt, seed }: Options, databaseUrl: string): Promise<boolean> {
  return use.databaseUrl === undefined || (await holdsNothingElse(databaseUrl, adopt)) || seed;
}

/** The addresses are known before the servers run; only if one changed while they started, the template is made again. */
async function startServersAndSynthesise(start: StartOptions, { jwksUri }: ControlServer): Promise<Servers> {
  const { options, run, terminal, parts, reportCrash, signal } = start;
  const { stateDir } = run;
  const plan = await planServers(stateDir, options.use);
  const outDir = join(stateDir, 'cdk.out');
  const make = (urls: ServerUrls) => {
    const addresses = { ...urls, ...roleUrlsOf(start, urls), jwksUri };
    const work = () => synthesise({ addresses, outDir, signal, watcher: run });
    return terminal.run('Synthesis of the CDK app', work);
  };
  const starting = startServers({ run, plan, report: (step) => terminal.line(`  ${step}`), signal });
  parts.add(starting, STOP_LIMITS_MS.servers, (started) => started.stop());
  const shown = terminal.run('PostgreSQL, Redis and Pushgateway', () => starting);
  const made = make(plan.urls);
  parts.add(made, STOP_LIMITS_MS.synthesis, async () => {}); // an abort ends it; then it removes its draft
  const [servers] = await Promise.all([shown, made]);
  servers.onCrash(reportCrash);
  if (!isDeepStrictEqual(servers.urls, plan.urls)) await make(servers.urls);
  return servers;
}

/** Of the embedded database only: one that DATABASE_URL names has users of somebody else's, so all sign in by that URL. */
function roleUrlsOf({ options, run }: StartOptions, { databaseUrl }: ServerUrls) {
  if (options.use.databaseUrl !== undefined) return {};
  return {
    readerDatabaseUrl: roleUrl(run.stateDir, databaseUrl, databaseRoles.reader),
    warmerDatabaseUrl: roleUrl(run.stateDir, databaseUrl, databaseRoles.warmer),
  };
}

function serve(
  { options, run, terminal }: StartOptions,
  control: ControlServer,
  functionsLog: string,
): Promise<LocalStage> {
  const file = createWriteStream(functionsLog, { flags: 'w', mode: 0o600 });
  const log = (line: string) => {
    file.write(`${line}\n`);
    if (options.logs) terminal.line(line);
  };
  const assemblyDir = join(run.stateDir, 'cdk.out');
  return startStage({ ...options, assemblyDir, control, log, watcher: run });
}

async function findTopUser(databaseUrl: string): Promise<TopUser> {
  const sql = 'SELECT id, display_name AS "displayName" FROM users ORDER BY follower_count DESC, id LIMIT 1';
  const { rows } = await withClient(databaseUrl, TOP_USER_TIMEOUT_MS, (client) => client.query<TopUser>(sql));
  return rows[0] ?? { id: '1', displayName: 'Ada' };
}
