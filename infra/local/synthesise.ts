/** Synthesises the CDK app's local stage in a child process, into a folder that is replaced as a whole. */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { draftOf } from './drafts.ts';
import { awaitCommand } from './processes/command.ts';
import type { ProcessWatcher } from './processes/run.ts';

type SynthesiseOptions = {
  /** Of the servers and of the public keys, by their names in the app's context. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly outDir: string;
  readonly signal?: AbortSignal;
  /** @default - the synthesis outlives a runner that is killed */
  readonly watcher?: ProcessWatcher;
};

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

/** Several times what it takes on two cores. */
const timeoutMs = 120_000;

/** @throws with one line, which names the log, when the app fails. The previous assembly then stays. */
export async function synthesise({ outDir, addresses, ...options }: SynthesiseOptions): Promise<void> {
  const draftDir = draftOf(outDir);
  const logFile = `${outDir}.log`;
  mkdirSync(draftDir, { mode: 0o700 }); // the template has passwords in it, and the bundles are run
  const logFd = openSync(logFile, 'w', 0o600);
  // The app itself, without the CDK command line: that costs another second and a half and adds nothing here.
  const env = environmentOf(addresses, draftDir);
  const app = { cwd: projectDir, env, timeoutMs, logFd, ...options };
  try {
    const exitCode = await awaitCommand(process.execPath, ['infra/main.ts'], app).catch(() => undefined);
    options.signal?.throwIfAborted();
    if (exitCode !== 0)
      throw new Error(`The CDK app could not be synthesised; what it said is in ${logFile}`);
    replace(outDir, draftDir);
  } finally {
    closeSync(logFd);
    rmSync(draftDir, { recursive: true, force: true });
  }
}

function environmentOf(addresses: SynthesiseOptions['addresses'], outDir: string): NodeJS.ProcessEnv {
  // With the feature flags, which the command line would hand over.
  const { context } = JSON.parse(readFileSync(`${projectDir}cdk.json`, 'utf8')) as { context: object };
  return {
    ...process.env,
    CDK_CONTEXT_JSON: JSON.stringify({ ...context, ...addresses, stage: 'local' }),
    CDK_OUTDIR: outDir,
    CDK_VALIDATION: 'false', // half of the time; `npm run synth` and the tests check the template's rules
  };
}

/** A reader sees the old assembly or the new one, never half of one. */
function replace(outDir: string, draftDir: string): void {
  const oldDir = draftOf(outDir); // removed like a draft, should this process die before it does so itself
  if (existsSync(outDir)) renameSync(outDir, oldDir);
  renameSync(draftDir, outDir);
  rmSync(oldDir, { recursive: true, force: true });
}
