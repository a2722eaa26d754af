/** Starts the three servers that Prewarm needs, in parallel, or uses those that the environment names; stops what it started. */
import type { ServerProcess } from '../processes/processes.ts';
import { removeDeadDownloads } from './binaries.ts';
import { checkExternal, type ExternalUrls } from './external.ts';
import { choosePorts, findFreePort, LOOPBACK, listenOnce, rememberPorts, type ServerPorts } from './ports.ts';
import { postgresUrl, startPostgres } from './postgres.ts';
import { startPushgateway } from './pushgateway.ts';
import { type RedisUsers, redisUrl, startRedis } from './redis.ts';
import type { StartContext, StartedServer } from './start-context.ts';

export type ServerUrls = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly pushgatewayUrl: string;
};

export type Servers = Awaited<ReturnType<typeof startServers>>;

/** Without a process when the environment names it. */
type Started = { readonly url: string; readonly process?: ServerProcess };
type Start = (context: StartContext, port: number) => Promise<StartedServer>;
type ServerPlan = Awaited<ReturnType<typeof planServers>>;

const PORT_TRIES_MAX = 3;

/** Where the servers will be. Known before they run, so that other work can begin at the same time. */
export async function planServers(stateDir: string, use: ExternalUrls, openTo: RedisUsers = 'functions') {
  const ports = await choosePorts(stateDir);
  const urls: ServerUrls = {
    redisUrl: use.redisUrl ?? redisUrl(stateDir, ports.redis, openTo),
    databaseUrl: use.databaseUrl ?? postgresUrl(stateDir, ports.postgres),
    pushgatewayUrl: use.pushgatewayUrl ?? `http://${LOOPBACK}:${ports.pushgateway}`,
  };
  return { ports, use, openTo, urls };
}

type ServersOptions = Omit<StartContext, 'signal'> & {
  readonly plan: ServerPlan;
  readonly signal?: AbortSignal;
};

/**
 * Resolves when all three answer. Their URLs differ from the plan's only when another program took a port meanwhile.
 * @throws StartError when one cannot be had; those that were started are stopped before.
 */
export async function startServers({ run, plan, report, ...options }: ServersOptions) {
  removeDeadDownloads();
  const failed = new AbortController(); // one failure ends the others' starts
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])]);
  const begun = beginAll({ run, report, signal }, plan);
  for (const start of begun) start.catch((error) => failed.abort(error));
  const results = await Promise.allSettled(begun);
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const processes = started.flatMap(({ process }) => process ?? []);
  const stop = async () => void (await Promise.all(processes.map((process) => process.stop())));
  const [postgres, redis, pushgateway] = started;
  if (postgres === undefined || redis === undefined || pushgateway === undefined) {
    await stop();
    throw signal.reason;
  }
  const embedded = Object.entries({ postgres, redis, pushgateway }).filter(([, { process }]) => process);
  const ports = embedded.map(([name, { url }]) => [name, Number(new URL(url).port)]);
  rememberPorts(run.stateDir, Object.fromEntries(ports) as Partial<ServerPorts>);
  const urls: ServerUrls = {
    redisUrl: redis.url,
    databaseUrl: postgres.url,
    pushgatewayUrl: pushgateway.url,
  };
  return {
    ...urls,
    urls,
    /** Those that this started: none for a server that the environment names. */
    processes,
    onCrash(listener: (part: string, detail: string) => void): void {
      for (const process of processes) process.onCrash((detail) => listener(process.name, detail));
    },
    stop,
  };
}

/** In this order: PostgreSQL, Redis, Pushgateway. */
function beginAll(context: StartContext, { ports, use, openTo }: ServerPlan): Promise<Started>[] {
  const external = checkExternal(use);
  const begin = (start: Start, port: number, url: string | undefined): Promise<Started> =>
    url === undefined ? startOnFreePort(start, context, port) : external.then(() => ({ url }));
  return [
    begin(startPostgres, ports.postgres, use.databaseUrl),
    begin((...where) => startRedis(...where, { openTo }), ports.redis, use.redisUrl),
    begin(startPushgateway, ports.pushgateway, use.pushgatewayUrl),
  ];
}

/** Between our look at the port and the server's, another program may have taken it: then on another one. */
async function startOnFreePort(start: Start, context: StartContext, planned: number): Promise<Started> {
  let port = planned;
  for (let tries = 1; ; tries++) {
    try {
      return await start(context, port);
    } catch (error) {
      const isFree = await listenOnce(port).catch(() => false);
      if (tries === PORT_TRIES_MAX || context.signal.aborted || isFree) throw error;
      port = await findFreePort();
    }
  }
}
