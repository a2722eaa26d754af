/** Python programs that the checks need: each in a virtual environment of its own, made complete or not at all, and kept. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { draftOf, removeDeadDrafts } from '../local/drafts.ts';
import type { ProcessWatcher } from '../local/processes/run.ts';
import { findProgram } from '../local/servers/postgres-user.ts';
import { StartError } from '../local/start-error.ts';
import { collectOutput } from './collect-output.ts';

/** Each has a file of exact versions in `python/`. */
export type PythonTool = 'ministack' | 'cfn-lint';

type PrepareOptions = {
  /** Takes a line when something takes a while. */
  report(step: string): void;
  readonly signal?: AbortSignal;
  /** @default - an installation outlives a runner that is killed */
  readonly watcher?: ProcessWatcher;
  /** @default - this process' own: PATH, and pip's settings */
  readonly env?: NodeJS.ProcessEnv;
  /** @default .prewarm/python */
  readonly toolsDir?: string;
};

const TOOLS_DIR = fileURLToPath(new URL('../../.prewarm/python/', import.meta.url));
const REQUIREMENTS_DIR = fileURLToPath(new URL('./python/', import.meta.url));

/** Older ones need packages that the files of versions do not name. */
const PYTHON_MIN = { major: 3, minor: 11 };
const CHECK_TIMEOUT_MS = 10_000;
const ENVIRONMENT_TIMEOUT_MS = 60_000;
const DOWNLOAD_TIMEOUT_MS = 180_000;

const WAY_OUT =
  'Install Python 3.11 or later with its virtual environments (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python).';

/** Names Python's version, and fails where Debian has split the virtual environments off. */
const CHECK = 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])';

/**
 * Answers the environment's own `python`; installed at the first call, 4 to 8 s, and used again from then on.
 * @throws StartError with the way out when there is no usable Python, or no way to download.
 */
export async function preparePythonTool(tool: PythonTool, options: PrepareOptions): Promise<string> {
  const python = await findPython(options);
  const home = join(
    options.toolsDir ?? TOOLS_DIR,
    `${python.version}-${process.platform}-${process.arch}`,
    `${tool}-${digestOf(requirementsOf(tool))}`,
  );
  removeDeadDrafts(dirname(home));
  if (!existsSync(home)) await install(tool, python.command, home, options);
  return pythonOf(home);
}

async function findPython(options: PrepareOptions): Promise<{ command: string; version: string }> {
  const command = findProgram('python3', (options.env ?? process.env)['PATH'] ?? '');
  if (command === undefined) throw new StartError(`There is no python3 on PATH. ${WAY_OUT}`);
  const { exitCode, output } = await run(command, ['-c', CHECK], CHECK_TIMEOUT_MS, options);
  if (exitCode !== 0) throw new StartError(`${command} cannot make virtual environments. ${WAY_OUT}`);
  const version = output.trim();
  if (!isRecent(version)) throw new StartError(`${command} is Python ${version}. ${WAY_OUT}`);
  return { command, version };
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > PYTHON_MIN.major || (major === PYTHON_MIN.major && minor >= PYTHON_MIN.minor);
}

async function install(
  tool: PythonTool,
  python: string,
  home: string,
  options: PrepareOptions,
): Promise<void> {
  options.report(`${tool}: downloading it into a virtual environment (once, nothing is installed)`);
  const draft = draftOf(home);
  mkdirSync(dirname(home), { recursive: true });
  try {
    await createEnvironment(python, draft, options);
    await download(tool, draft, options);
    keepDraft(draft, home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

async function createEnvironment(python: string, folder: string, options: PrepareOptions): Promise<void> {
  const { exitCode, output } = await run(python, ['-m', 'venv', folder], ENVIRONMENT_TIMEOUT_MS, options);
  if (exitCode !== 0) throw new StartError(`${python} -m venv failed: ${lastLine(output)}. ${WAY_OUT}`);
}

/** Without pip's own cache, which is outside the project's folder; with a retry, for only then does it say what is wrong. */
async function download(tool: PythonTool, environment: string, options: PrepareOptions): Promise<void> {
  const args = [
    '-m',
    'pip',
    'install',
    '--no-cache-dir',
    '--no-input',
    '--disable-pip-version-check',
    '--retries',
    '1',
  ];
  const { exitCode, output } = await run(
    pythonOf(environment),
    [...args, '--requirement', requirementsOf(tool)],
    DOWNLOAD_TIMEOUT_MS,
    options,
  );
  if (exitCode !== 0) throw new StartError(explainDownload(tool, output));
}

function explainDownload(tool: PythonTool, output: string): string {
  const isOffline = /connection|resolution|timed out|unreachable|proxy/i.test(output);
  const why = isOffline ? 'the Python package index cannot be reached' : lastLine(output);
  return `${tool} could not be downloaded: ${why}. It needs the network once; pip's own settings (proxy, index) are used.`;
}

/** Another process may have been quicker; its environment is as good as ours. */
function keepDraft(draft: string, home: string): void {
  try {
    renameSync(draft, home);
  } catch (error) {
    if (!existsSync(home)) throw error;
  }
}

/** The only program of an environment that does not name the folder in which it was made. */
function pythonOf(environment: string): string {
  return join(environment, 'bin', 'python');
}

function requirementsOf(tool: PythonTool): string {
  return join(REQUIREMENTS_DIR, `${tool}.txt`);
}

/** Other versions are another environment. */
function digestOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);
}

function run(
  command: string,
  args: readonly string[],
  timeoutMs: number,
  { signal, watcher, env = process.env }: PrepareOptions,
) {
  return collectOutput(command, args, { env, timeoutMs, signal, watcher });
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) ?? '';
}
