/** The embedded Redis (or Valkey): a cache on loopback that keeps nothing on disk. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type ServerProcess, startProcess, waitUntilReady } from '../processes/processes.ts';
import { findOrFetchBinary } from './binaries.ts';
import { LOOPBACK } from './ports.ts';
import { probeRedis } from './probe.ts';
import type { StartContext } from './start-context.ts';

const READY_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 1_000;
/** Every test file gets a logical database of its own. */
const DATABASES = 512;

export type RedisServer = { readonly process: ServerProcess; readonly url: string };

type RedisSettings = {
  /** Names the log and the data folder: another one for each server of a run. @default 'Redis' */
  readonly name?: string;
  /** Added to the command line. @default none */
  readonly args?: readonly string[];
};

export async function startRedis(
  context: StartContext,
  port: number,
  { name = 'Redis', args = [] }: RedisSettings = {},
): Promise<RedisServer> {
  const binary = await findOrFetchBinary('redis', context);
  const home = join(context.run.stateDir, name.toLowerCase());
  mkdirSync(home, { recursive: true });
  const process = startProcess(context.run, {
    name,
    command: binary.command,
    args: [...redisArgs(port, home), ...args],
    env: binary.env,
    cwd: home,
  });
  const url = `redis://${LOOPBACK}:${port}`;
  await waitUntilReady(process, () => probeRedis(url, PROBE_TIMEOUT_MS), {
    deadlineMs: READY_TIMEOUT_MS,
    signal: context.signal,
  });
  return { process, url };
}

function redisArgs(port: number, home: string): string[] {
  return [
    ...['--port', String(port)],
    ...['--bind', LOOPBACK],
    ...['--protected-mode', 'yes'],
    ...['--databases', String(DATABASES)],
    ...['--save', ''],
    ...['--appendonly', 'no'],
    ...['--dir', home],
    ...['--daemonize', 'no'],
  ];
}
