/** A Redis process of a test's own, to freeze, kill and bring back; the reaper ends it when the test's process dies. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { claimRun } from '../../infra/local/processes/run.ts';
import { findFreePort } from '../../infra/local/servers/ports.ts';
import { type RedisUsers, startRedis } from '../../infra/local/servers/redis.ts';

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

export async function startOwnRedis({ port, ...settings }: OwnRedisOptions = {}): Promise<OwnRedis> {
  const ownPort = port ?? (await findFreePort());
  const stateDir = join(inject('servers').stateDir, `redis-${process.pid}-${ownPort}`);
  const run = await claimRun({ stateDir });
  const context = { run, signal: new AbortController().signal, report: () => {} };
  const { process: server, url } = await startRedis(context, ownPort, settings);
  const send = (name: NodeJS.Signals) => server.isRunning && process.kill(server.pid, name);
  return {
    pid: server.pid,
    url,
    port: ownPort,
    freeze: () => void send('SIGSTOP'),
    thaw: () => void send('SIGCONT'),
    async stop() {
      send('SIGKILL'); // reaches a frozen process too
      await server.exited;
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}
