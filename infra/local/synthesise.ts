/** Synthesises the CDK app's local stage in a child process, into a folder that is replaced as a whole. */
import { createWriteStream, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { draftOf } from './drafts.ts';
import { awaitCommand } from './processes/command.ts';
import type { ProcessWatcher } from './processes/run.ts';

type LocalAddresses = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly readerDatabaseUrl?: string;
  readonly warmerDatabaseUrl?: string;
  readonly pushgatewayUrl: string;
  readonly jwksUri: string;
};

export type SynthesiseOptions = {
  readonly addresses: LocalAddresses;
  readonly outDir: string;
  readonly signal?: AbortSignal;
  /** @default - the synthesis outlives a runner that is killed */
  readonly watcher?: ProcessWatcher;
};

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

/** Several times what it takes on two cores. */
const timeoutMs = 120_000;

/** @throws with one line, which names the log, when the app fails. The previous assembly then stays. */
export async function synthesise({ outDir, ...options }: SynthesiseOptions): Promise<void> {
  const draftDir = draftOf(outDir);
  const logFile = `${outDir}.log`;
  await mkdir(dirname(outDir), { recursive: true });
  await mkdir(draftDir, { mode: 0o700 }); // the template has passwords in it, and the bundles are run
  try {
    await runApp(options, draftDir, logFile);
    await replace(outDir, draftDir);
  } finally {
    await rm(draftDir, { recursive: true, force: true });
  }
}

async function runApp(options: Omit<SynthesiseOptions, 'outDir'>, outDir: string, logFile: string) {
  const log = createWriteStream(logFile, { mode: 0o600 });
  const written = finished(log);
  written.catch(() => {}); // heard of below, also when it fails while the app runs
  try {
    const exitCode = await spawnApp(options, outDir, log);
    if (exitCode !== 0) throw new Error(`exit code ${exitCode}`);
  } catch {
    options.signal?.throwIfAborted();
    throw new Error(`The CDK app could not be synthesised; what it said is in ${logFile}`);
  } finally {
    log.end();
    await written;
  }
}

/** The app itself, without the CDK command line: that costs another second and a half and adds nothing here. */
function spawnApp(
  { addresses, signal, watcher }: Omit<SynthesiseOptions, 'outDir'>,
  outDir: string,
  log: NodeJS.WritableStream,
): Promise<number | null> {
  const env = {
    ...process.env,
    CDK_CONTEXT_JSON: JSON.stringify({ ...readFlags(), ...addresses, stage: 'local' }),
    CDK_OUTDIR: outDir,
    CDK_VALIDATION: 'false', // half of the time; `npm run synth` and the tests check the template's rules
  };
  return awaitCommand(
    process.execPath,
    ['infra/main.ts'],
    { cwd: projectDir, env, timeoutMs, signal, watcher },
    ({ stdout, stderr }) => {
      stdout?.pipe(log, { end: false });
      stderr?.pipe(log, { end: false });
    },
  );
}

/** The feature flags, which the command line would hand over. */
function readFlags(): Record<string, unknown> {
  return (JSON.parse(readFileSync(`${projectDir}cdk.json`, 'utf8')) as { context: Record<string, unknown> })
    .context;
}

/** A reader sees the old assembly or the new one, never half of one. */
async function replace(outDir: string, draftDir: string): Promise<void> {
  const oldDir = draftOf(outDir); // removed like a draft, should this process die before it does so itself
  await rename(outDir, oldDir).catch(ignoreMissing);
  await rename(draftDir, outDir);
  await rm(oldDir, { recursive: true, force: true });
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
