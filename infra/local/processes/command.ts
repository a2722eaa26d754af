/** Runs one command to its end within a bound: it ends with its whole process group at an abort, and with a runner that disappears. */
import { type ChildProcess, spawn } from 'node:child_process';
import { killGroup } from './process-identity.ts';
import type { ProcessWatcher } from './run.ts';

export type CommandOptions = {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number;
  readonly gid?: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** @default - the command outlives a runner that is killed */
  readonly watcher?: ProcessWatcher | undefined;
};

/** Takes what the command writes, from the beginning. */
type Listen = (child: ChildProcess) => void;

/** Runs a command to its end and returns what it printed; rejects with the last line that it wrote to standard error. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<string> {
  const output = { stdout: '', stderr: '' };
  const code = await awaitCommand(command, args, options, ({ stdout, stderr }) => {
    stdout?.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  });
  if (code !== 0)
    throw new Error(output.stderr.trim().split('\n').at(-1) || `${command} ended with exit code ${code}`);
  return output.stdout;
}

/** Resolves to the exit code, null when a signal ended it; rejects at the limit, on abort, or when it cannot be started. */
export async function awaitCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
  listen: Listen,
): Promise<number | null> {
  const { timeoutMs, signal, watcher, ...spawnOptions } = options;
  signal?.throwIfAborted();
  const limit = AbortSignal.timeout(timeoutMs);
  const child = spawn(command, args, {
    ...spawnOptions,
    detached: true, // a group of its own; a Ctrl-C ends it through `signal`, so that it is told as a stop and not as a failure
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const end = () => child.pid !== undefined && killGroup(child.pid);
  const ends = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  ends.addEventListener('abort', end, { once: true });
  if (child.pid !== undefined) watcher?.watch({ name: command, pid: child.pid, stopSignal: 'SIGKILL' });
  listen(child);
  try {
    const code = await awaitClose(child);
    signal?.throwIfAborted();
    if (limit.aborted) throw new Error(`${command} took longer than ${timeoutMs / 1000} s`);
    return code;
  } finally {
    ends.removeEventListener('abort', end);
    if (child.pid !== undefined) watcher?.forget(child.pid);
  }
}

/** `close`, not `exit`: by then all of its output has arrived. */
function awaitClose(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}
