/** Synthesises the CDK app's local stage in a child process, into a folder that is replaced as a whole. */
import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

type LocalAddresses = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly pushgatewayUrl: string;
  readonly jwksUri: string;
};

export type SynthesiseOptions = {
  readonly addresses: LocalAddresses;
  readonly outDir: string;
  readonly signal?: AbortSignal;
};

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

/** Several times what it takes on two cores. */
const timeoutMs = 120_000;

/** @throws with one line, which names the log, when the app fails. The previous assembly then stays. */
export async function synthesise({ addresses, outDir, signal }: SynthesiseOptions): Promise<void> {
  const draftDir = `${outDir}.draft-${process.pid}`;
  const logFile = `${outDir}.log`;
  await mkdir(dirname(outDir), { recursive: true });
  try {
    await runApp(addresses, draftDir, logFile, signal);
    await replace(outDir, draftDir);
  } finally {
    await rm(draftDir, { recursive: true, force: true });
  }
}

async function runApp(
  addresses: LocalAddresses,
  outDir: string,
  logFile: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const log = createWriteStream(logFile, { mode: 0o600 });
  const exitCode = await spawnApp({ ...readFlags(), ...addresses, stage: 'local' }, outDir, log, signal);
  log.end();
  await finished(log);
  signal?.throwIfAborted();
  if (exitCode !== 0) throw new Error(`The CDK app could not be synthesised; what it said is in ${logFile}`);
}

/** The app itself, without the CDK command line: that costs another second and a half and adds nothing here. */
function spawnApp(
  context: object,
  outDir: string,
  log: NodeJS.WritableStream,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  const limit = AbortSignal.timeout(timeoutMs);
  const child = spawn(process.execPath, ['infra/main.ts'], {
    cwd: projectDir,
    env: {
      ...process.env,
      CDK_CONTEXT_JSON: JSON.stringify(context),
      CDK_OUTDIR: outDir,
      CDK_VALIDATION: 'false', // half of the time; `npm run synth` and the tests check the template's rules
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    killSignal: 'SIGKILL',
  });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  return new Promise((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
}

/** The feature flags, which the command line would hand over. */
function readFlags(): Record<string, unknown> {
  return (JSON.parse(readFileSync(`${projectDir}cdk.json`, 'utf8')) as { context: Record<string, unknown> })
    .context;
}

/** A reader sees the old assembly or the new one, never half of one. */
async function replace(outDir: string, draftDir: string): Promise<void> {
  const oldDir = `${outDir}.old-${process.pid}`;
  await rename(outDir, oldDir).catch(ignoreMissing);
  await rename(draftDir, outDir);
  await rm(oldDir, { recursive: true, force: true });
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
