/** Python programs that the checks need: each in a virtual environment of its own, made complete or not at all, and kept. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { draftOf, removeDeadDrafts } from '../local/drafts.ts';
import { StartError } from '../local/start-error.ts';

type PrepareOptions = {
  /** Takes a line when something takes a while. */
  report(step: string): void;
  /** @default - this process' own: PATH, and pip's settings */
  readonly env?: NodeJS.ProcessEnv;
  /** @default .prewarm/python */
  readonly toolsDir?: string;
};

const TOOLS_DIR = fileURLToPath(new URL('../../.prewarm/python/', import.meta.url));
const CHECK_TIMEOUT_MS = 10_000;
const INSTALL_TIMEOUT_MS = 180_000;

/** Older ones need packages that the files of versions do not name. */
const PYTHON_MINOR_MIN = 11;
const WAY_OUT =
  'Install Python 3.11 or later with its virtual environments (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python).';
/** Names Python's version, and fails where Debian has split the virtual environments off. */
const CHECK = 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])';
/** Without pip's own cache, which is outside the project's folder; with a retry, for only then does it say what is wrong. */
const PIP = '-m pip install --no-cache-dir --no-input --disable-pip-version-check --retries 1'.split(' ');

const execute = promisify(execFile);

/**
 * Answers the environment's own `python`, of the versions that the tool's file in `python/` names; installed at the first
 * call, 4 to 8 s. @throws StartError with the way out when there is no usable Python, or no way to download.
 */
export async function preparePythonTool(
  tool: 'ministack' | 'cfn-lint',
  { report, env = process.env, toolsDir = TOOLS_DIR }: PrepareOptions,
): Promise<string> {
  const versions = fileURLToPath(new URL(`python/${tool}.txt`, import.meta.url));
  const digest = createHash('sha256').update(readFileSync(versions)).digest('hex').slice(0, 12);
  const python = `${await checkPython(env)}-${process.platform}-${process.arch}`;
  const home = join(toolsDir, python, `${tool}-${digest}`);
  removeDeadDrafts(dirname(home));
  if (!existsSync(home)) {
    report(`${tool}: downloading it into a virtual environment (once, nothing is installed)`);
    await install(versions, home, env).catch((error) => {
      throw new StartError(`${tool} could not be installed: ${explain(error)}`, { cause: error });
    });
  }
  return join(home, 'bin', 'python');
}

/** Answers the version of the `python3` on PATH. */
async function checkPython(env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await execute('python3', ['-c', CHECK], { env, timeout: CHECK_TIMEOUT_MS }).catch(
    (cause) => {
      const isThere = cause.code !== 'ENOENT';
      throw new StartError(
        `${isThere ? 'The python3 on PATH cannot make virtual environments' : 'There is no python3 on PATH'}. ${WAY_OUT}`,
        { cause },
      );
    },
  );
  const version = stdout.trim();
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 3 || (major === 3 && minor >= PYTHON_MINOR_MIN)) return version;
  throw new StartError(`The python3 on PATH is Python ${version}. ${WAY_OUT}`);
}

async function install(versions: string, home: string, env: NodeJS.ProcessEnv): Promise<void> {
  const draft = draftOf(home);
  mkdirSync(dirname(home), { recursive: true });
  try {
    await execute('python3', ['-m', 'venv', draft], { env, timeout: INSTALL_TIMEOUT_MS });
    const python = join(draft, 'bin', 'python'); // the only program of an environment that does not name its folder
    await execute(python, [...PIP, '--requirement', versions], { env, timeout: INSTALL_TIMEOUT_MS });
    keepDraft(draft, home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Another process may have been quicker; its environment is as good as ours. */
function keepDraft(draft: string, home: string): void {
  try {
    renameSync(draft, home);
  } catch (error) {
    if (!existsSync(home)) throw error;
  }
}

type Ended = Error & { readonly stdout?: string; readonly stderr?: string; readonly killed?: boolean };

function explain({ stdout = '', stderr = '', message, killed }: Ended): string {
  const said = `${stdout}\n${stderr}`;
  if (/connection|resolution|timed out|unreachable|proxy/i.test(said))
    return "the Python package index cannot be reached. It is needed once; pip's own settings (proxy, index) are used.";
  if (killed) return `it took longer than ${INSTALL_TIMEOUT_MS / 1_000} s.`;
  return said.trim().split('\n').at(-1) || message;
}
