/** Runs one command to its end within a bound: it ends with its whole process group at an abort, and with a runner that disappears. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { killGroup } from './process-identity.ts';
import type { ProcessWatcher } from './run.ts';
import { type SpawnSettings, spawnWatched } from './spawn-watched.ts';

export type CommandOptions = SpawnSettings & {
  /** A file for all that it writes. @default - what is listened to */
  readonly logFd?: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** @default - the command outlives a runner that is killed */
  readonly watcher?: ProcessWatcher | undefined;
};

/** Runs a command to its end and returns what it printed; rejects with the last line that it wrote to standard error. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<string> {
  const output = { stdout: '', stderr: '' };
  const code = await awaitCommand(command, args, options, (child) => {
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  });
  if (code !== 0)
    throw new Error(output.stderr.trim().split('\n').at(-1) || `${command} ended with exit code ${code}`);
  return output.stdout;
}

/**
 * Resolves to the exit code, null when a signal ended it; rejects at the limit, on abort, or when it cannot be started.
 * `listen` takes what it writes, from the beginning.
 */
export async function awaitCommand(
  command: string,
  args: readonly string[],
  { timeoutMs, signal, watcher, logFd, ...options }: CommandOptions,
  listen: (child: ChildProcess) => void = () => {},
): Promise<number | null> {
  signal?.throwIfAborted();
  const process = { name: command, command, args, stopSignal: 'SIGKILL' } as const;
  const child = spawnWatched(watcher, process, { ...options, output: logFd ?? 'pipe' });
  const { pid } = child;
  const limit = AbortSignal.timeout(timeoutMs);
  const ends = AbortSignal.any(signal === undefined ? [limit] : [limit, signal]);
  const end = () => pid !== undefined && killGroup(pid);
  ends.addEventListener('abort', end);
  listen(child);
  try {
    const [code] = await once(child, 'close'); // not `exit`: by then all of its output has arrived
    signal?.throwIfAborted();
    if (limit.aborted) throw new Error(`${command} took longer than ${timeoutMs / 1000} s`);
    return code;
  } finally {
    ends.removeEventListener('abort', end);
    if (pid !== undefined) watcher?.forget(pid);
  }
}
