/** The AWS emulator that the suite deploys to: the one that AWS_ENDPOINT_URL names, or ministack as a process of the suite's own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { killGroup } from '../../infra/local/processes/process-identity.ts';
import { type ServerProcess, startProcess, waitUntilReady } from '../../infra/local/processes/processes.ts';
import type { Run } from '../../infra/local/processes/run.ts';
import { findFreePort, LOOPBACK } from '../../infra/local/servers/ports.ts';
import { preparePythonTool } from '../../infra/tools/python-tools.ts';

export type Emulator = {
  readonly endpoint: string;
  /** Whether it is the suite's own ministack, of which is known what it does and what it does not. */
  readonly isOwn: boolean;
  stop(): Promise<void>;
};

const READY_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 2_000;

export async function startEmulator(run: Run, report: (step: string) => void): Promise<Emulator> {
  const endpoint = process.env['AWS_ENDPOINT_URL'];
  if (endpoint) return { endpoint, isOwn: false, stop: async () => {} };
  return await startMinistack(run, await preparePythonTool('ministack', { report }));
}

async function startMinistack(run: Run, python: string): Promise<Emulator> {
  const port = await findFreePort();
  const endpoint = `http://${LOOPBACK}:${port}`;
  const server = startProcess(run, {
    name: 'ministack',
    command: python,
    args: ['-m', 'ministack'],
    env: ministackEnvironment(run.stateDir, port),
    cwd: run.stateDir,
    stopSignal: 'SIGKILL', // the only one that reaches its whole group: it would leave the functions' processes behind
  });
  await waitUntilReady(server, () => probe(endpoint), { deadlineMs: READY_TIMEOUT_MS });
  return { endpoint, isOwn: true, stop: () => stopWithFunctions(server) };
}

/** All that it gets to know: no setting of the machine, no credentials, no Docker. All that it writes is in the state folder. */
function ministackEnvironment(stateDir: string, port: number): NodeJS.ProcessEnv {
  return {
    PATH: pathWithThisNode(),
    HOME: stateDir,
    TMPDIR: functionsFolder(stateDir),
    STATE_DIR: join(stateDir, 'ministack'),
    S3_DATA_DIR: join(stateDir, 'ministack-s3'),
    BIND_HOST: LOOPBACK,
    MINISTACK_HOST: LOOPBACK,
    GATEWAY_PORT: String(port),
    AUTH: 'true', // roles and policies count
    LAMBDA_EXECUTOR: 'local',
    DOCKER_HOST: `unix://${join(stateDir, 'no-docker')}`,
  };
}

/** Functions run under the Node that runs this, whichever the machine has. */
export function pathWithThisNode(): string {
  return [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
}

/**
 * Where functions are unpacked. Below the project's folder, so that they find the AWS SDK, which is no part of the bundles;
 * and marked, because ministack starts them by a CommonJS file, while this project's files are ES modules.
 */
function functionsFolder(stateDir: string): string {
  const folder = join(stateDir, 'functions');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"commonjs"}');
  return folder;
}

async function probe(endpoint: string): Promise<void> {
  const answer = await fetch(`${endpoint}/_ministack/ready`, {
    signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
  });
  if (!answer.ok) throw new Error(`it answered ${answer.status}`);
}

async function stopWithFunctions(server: ServerProcess): Promise<void> {
  killGroup(server.pid);
  await server.stop();
}
