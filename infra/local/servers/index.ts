/** Starts the three servers that Prewarm needs, in parallel, or uses those that the environment names; stops what it started. */
import type { ServerProcess } from '../processes/processes.ts';
import type { Run } from '../processes/run.ts';
import { removeDeadDownloads } from './binaries.ts';
import { checkExternal, type ExternalUrls } from './external.ts';
import { choosePorts, findFreePort, isPortFree, LOOPBACK, rememberPorts, type ServerPorts } from './ports.ts';
import { postgresUrl, startPostgres } from './postgres.ts';
import { startPushgateway } from './pushgateway.ts';
import { type RedisUsers, redisUrl, startRedis } from './redis.ts';
import type { StartContext } from './start-context.ts';

export type ServerUrls = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly pushgatewayUrl: string;
};

/** Where the servers will be. Known before they run, so that other work can begin at the same time. */
export type ServerPlan = {
  readonly ports: ServerPorts;
  readonly use: ExternalUrls;
  readonly redisOpenTo: RedisUsers;
  readonly urls: ServerUrls;
};

export type Servers = ServerUrls & {
  /** The processes that this started: none for a server that the environment names. */
  readonly processes: readonly ServerProcess[];
  onCrash(listener: (part: string, detail: string) => void): void;
  stop(): Promise<void>;
};

type Started = { readonly url: string; readonly process?: ServerProcess };
type Start = (context: StartContext, port: number) => Promise<Required<Started>>;

const PORT_TRIES_MAX = 3;

export async function planServers(
  stateDir: string,
  use: ExternalUrls,
  redisOpenTo: RedisUsers = 'functions',
): Promise<ServerPlan> {
  const ports = await choosePorts(stateDir);
  const urls = {
    redisUrl: use.redisUrl ?? redisUrl(stateDir, ports.redis, redisOpenTo),
    databaseUrl: use.databaseUrl ?? postgresUrl(stateDir, ports.postgres),
    pushgatewayUrl: use.pushgatewayUrl ?? `http://${LOOPBACK}:${ports.pushgateway}`,
  };
  return { ports, use, redisOpenTo, urls };
}

/**
 * Resolves when all three answer. Their URLs differ from the plan's only when another program took a port meanwhile.
 * @throws StartError when one cannot be had; those that were started are stopped before.
 */
export async function startServers(options: {
  run: Run;
  plan: ServerPlan;
  report(step: string): void;
  signal?: AbortSignal;
}): Promise<Servers> {
  const { run, plan, report } = options;
  removeDeadDownloads();
  const failed = new AbortController(); // one failure ends the others' starts
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
  const begun = beginAll({ run, report, signal }, plan).map((start) =>
    start.catch((error) => {
      failed.abort(error);
      throw error;
    }),
  );
  const results = await Promise.allSettled(begun);
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const [postgres, redis, pushgateway] = started;
  if (postgres === undefined || redis === undefined || pushgateway === undefined) {
    await stopAll(started);
    throw signal.reason;
  }
  return describeServers(run, { postgres, redis, pushgateway });
}

/** In this order: PostgreSQL, Redis, Pushgateway. */
function beginAll(context: StartContext, { ports, use, redisOpenTo }: ServerPlan): Promise<Started>[] {
  const external = checkExternal(use);
  const begin = (start: Start, port: number, url: string | undefined): Promise<Started> =>
    url === undefined ? startOnFreePort(start, context, port) : external.then(() => ({ url }));
  return [
    begin(startPostgres, ports.postgres, use.databaseUrl),
    begin((...where) => startRedis(...where, { openTo: redisOpenTo }), ports.redis, use.redisUrl),
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
      if (tries === PORT_TRIES_MAX || context.signal.aborted || (await isPortFree(port))) throw error;
      port = await findFreePort();
    }
  }
}

function describeServers(
  run: Run,
  started: { postgres: Started; redis: Started; pushgateway: Started },
): Servers {
  const parts = Object.values(started);
  const processes = parts.flatMap((part) => part.process ?? []);
  rememberPorts(run.stateDir, portsOf(started));
  return {
    databaseUrl: started.postgres.url,
    redisUrl: started.redis.url,
    pushgatewayUrl: started.pushgateway.url,
    processes,
    onCrash(listener) {
      for (const process of processes) process.onCrash((detail) => listener(process.name, detail));
    },
    stop: () => stopAll(parts),
  };
}

function portsOf(started: Record<keyof ServerPorts, Started>): Partial<ServerPorts> {
  const embedded = Object.entries(started).filter(([, part]) => part.process !== undefined);
  return Object.fromEntries(embedded.map(([name, { url }]) => [name, Number(new URL(url).port)]));
}

async function stopAll(parts: readonly Started[]): Promise<void> {
  await Promise.all(parts.map((part) => part.process?.stop()));
}
