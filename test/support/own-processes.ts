/** A Redis, a PostgreSQL or a Pushgateway process of a test's own: until the test is finished, or the file whose hook started it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '../../infra/local/servers/ports.ts';
import { startPostgres } from '../../infra/local/servers/postgres.ts';
import { startPushgateway } from '../../infra/local/servers/pushgateway.ts';
import { type RedisUsers, startRedis } from '../../infra/local/servers/redis.ts';
import type { StartContext } from '../../infra/local/servers/start-context.ts';
import { atEnd } from './at-end.ts';
import { claimFolder } from './own-folder.ts';

export type OwnRedis = {
  readonly pid: number;
  readonly url: string;
  readonly port: number;
  /** Keeps its connections open and answers nothing, as a Redis behind a broken network does. */
  freeze(): void;
  thaw(): void;
  /** Kills it: connections are cut, new ones refused. Can be called twice. */
  stop(): Promise<void>;
};

type OwnRedisOptions = {
  /** Of one that was stopped: it has come back, empty. */
  readonly port?: number;
  /** @default everybody */
  readonly openTo?: RedisUsers;
  readonly args?: readonly string[];
};

/** To freeze, kill and bring back. */
export async function startOwnRedis({ port, ...settings }: OwnRedisOptions = {}): Promise<OwnRedis> {
  const ownPort = port ?? (await findFreePort());
  const folder = await claimFolder('redis');
  const { process: server, url } = await startRedis(folder.context, ownPort, settings);
  const send = (name: NodeJS.Signals) => void (server.isRunning && process.kill(server.pid, name));
  return {
    pid: server.pid,
    url,
    port: ownPort,
    freeze: () => send('SIGSTOP'),
    thaw: () => send('SIGCONT'),
    async stop() {
      send('SIGKILL'); // reaches a frozen process too
      await server.exited;
      folder.remove();
    },
  };
}

type Started = Awaited<ReturnType<typeof startPostgres | typeof startPushgateway>>;

async function startIn(
  kind: string,
  start: (context: StartContext, port: number, path: string) => Promise<Started>,
): Promise<string> {
  const { context, path } = await claimFolder(kind);
  const { process: server, url } = await start(context, await findFreePort(), path);
  atEnd(() => server.stop());
  return url;
}

/** With roles of its own: those of the tests' server are shared by all its databases. The URL is a superuser's. */
export function startOwnPostgres(): Promise<string> {
  return startIn('postgres', startPostgres);
}

/** The URL of one that the rest of the run does not push to. */
export function startOwnPushgateway(): Promise<string> {
  return startIn('pushgateway', startPushgateway);
}

/** The URL of an empty one that is in recovery, as a standby is: it has the rows of when it was the primary. */
export function startStandby(): Promise<string> {
  return startIn('postgres', async (context, port, path) => {
    const primary = await startPostgres(context, port);
    await primary.process.stop();
    writeFileSync(join(path, 'postgres', 'standby.signal'), '');
    return startPostgres(context, port);
  });
}
