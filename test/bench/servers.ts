/** The Redis processes of a benchmark run: on loopback, in folders of their own, ended with the run however it ends; and the folders. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { identifySelf, isAlive } from '../../infra/local/processes/process-identity.ts';
import { claimRun, endLeftovers } from '../../infra/local/processes/run.ts';
import { findFreePort } from '../../infra/local/servers/ports.ts';
import { startRedis } from '../../infra/local/servers/redis.ts';
import { pin, SERVER_CPU } from './processes/cpu-affinity.ts';

export type BenchRedis = {
  readonly url: string;
  /** For the harness itself: to look, to configure, to empty. */
  readonly admin: Redis;
  /** The URL of a logical database that nobody has got yet in this run. */
  nextDatabaseUrl(): string;
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
};

export const BENCH_DIR = fileURLToPath(new URL('../../.prewarm/bench/', import.meta.url));
const RUNS_DIR = join(BENCH_DIR, 'runs');
const ADMIN_TIMEOUT_MS = 5_000;

export async function startBenchRedis(report: (step: string) => void): Promise<BenchRedis> {
  const port = await findFreePort();
  const stateDir = ownFolder(`redis-${port}`);
  const run = await claimRun({ stateDir });
  const context = { run, signal: new AbortController().signal, report };
  const { process: server, url } = await startRedis(context, port);
  pin(server.pid, SERVER_CPU);
  const admin = new Redis(url, { commandTimeout: ADMIN_TIMEOUT_MS });
  admin.on('error', () => {}); // a frozen server is what some cases are about
  const send = (name: NodeJS.Signals) => server.isRunning && process.kill(server.pid, name);
  let databases = 0;
  return {
    url,
    admin,
    nextDatabaseUrl: () => `${url}/${++databases}`,
    freeze: () => void send('SIGSTOP'),
    thaw: () => void send('SIGCONT'),
    async stop() {
      admin.disconnect();
      send('SIGKILL'); // reaches a frozen process too
      await server.exited;
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** Where this process may put something below the checkout that does not outlive it for long. */
export function ownFolder(name: string): string {
  return join(RUNS_DIR, `${identifySelf()}-${name}`);
}

/** Folders of runs that died; a folder that names a living process is of a run beside this one. */
export async function removeLeftRuns(): Promise<void> {
  mkdirSync(RUNS_DIR, { recursive: true });
  for (const name of readdirSync(RUNS_DIR)) {
    const [tag = ''] = name.split('-');
    if (isAlive(tag)) continue;
    await endLeftovers(join(RUNS_DIR, name));
    rmSync(join(RUNS_DIR, name), { recursive: true, force: true });
  }
}
