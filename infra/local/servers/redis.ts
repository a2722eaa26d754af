/** The embedded Redis (or Valkey): a cache on loopback that keeps nothing on disk, open to everybody or to the functions' user only. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { redisUser } from '../../users.ts';
import { startProcess, waitUntilReady } from '../processes/processes.ts';
import { findOrFetchBinary } from './binaries.ts';
import { readOrCreatePassword } from './passwords.ts';
import { LOOPBACK } from './ports.ts';
import { probeRedis } from './probe.ts';
import type { StartContext, StartedServer } from './start-context.ts';

const READY_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 1_000;
/** Of logical databases there are enough for every test file to have its own. */
const ARGS = ['--bind', LOOPBACK, '--protected-mode', 'yes', '--databases', '512', '--daemonize', 'no'];
const NOTHING_ON_DISK = ['--save', '', '--appendonly', 'no'];

type RedisSettings = {
  /** Names the log and the data folder: another one for each server of a run. @default 'Redis' */
  readonly name?: string;
  /** Added to the command line. @default none */
  readonly args?: readonly string[];
  /** @default everybody, who may do everything */
  readonly openTo?: RedisUsers;
};

/** The functions' user with its password; or everybody of this machine, as tests want it that empty their databases. */
export type RedisUsers = 'functions' | 'everybody';

export async function startRedis(
  context: StartContext,
  port: number,
  { name = 'Redis', args = [], openTo = 'everybody' }: RedisSettings = {},
): Promise<StartedServer> {
  const binary = await findOrFetchBinary('redis', context);
  const { stateDir } = context.run;
  const home = join(stateDir, name.toLowerCase());
  mkdirSync(home, { recursive: true });
  const users = openTo === 'functions' ? ['--aclfile', writeUsers(stateDir, home)] : [];
  const all = ['--port', String(port), '--dir', home, ...ARGS, ...NOTHING_ON_DISK, ...users, ...args];
  const process = startProcess(context.run, { name, ...binary, args: all, cwd: home });
  const url = redisUrl(stateDir, port, openTo);
  await waitUntilReady(process, () => probeRedis(url, PROBE_TIMEOUT_MS), {
    deadlineMs: READY_TIMEOUT_MS,
    signal: context.signal,
  });
  return { process, url };
}

/** Where the embedded Redis of this state folder is, or will be. */
export function redisUrl(stateDir: string, port: number, openTo: RedisUsers): string {
  const address = `${LOOPBACK}:${port}`;
  if (openTo === 'everybody') return `redis://${address}`;
  return `redis://${redisUser.name}:${readOrCreatePassword(stateDir, 'redis')}@${address}`;
}

/** In a file, because everybody of this machine can read a command line. */
function writeUsers(stateDir: string, home: string): string {
  const file = join(home, 'users.acl');
  const digest = createHash('sha256').update(readOrCreatePassword(stateDir, 'redis')).digest('hex');
  const users = `user default off\nuser ${redisUser.name} on #${digest} ${redisUser.access}\n`;
  writeFileSync(file, users, { mode: 0o600 });
  return file;
}
