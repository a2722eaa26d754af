/** Starts a process that nobody can lose: it runs its command only once it is watched. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { ProcessWatcher, WatchedProcess } from './run.ts';

export type SpawnSettings = Pick<SpawnOptions, 'env' | 'cwd' | 'uid' | 'gid'>;

/** Waits for a line, and then becomes the command; the end of the input before it is the end of the runner. */
const START = 'read -r line && exec "$@" < /dev/null';

/**
 * In a process group of its own: a Ctrl-C in the terminal goes to the runner alone, which then ends its processes in order.
 * A command that is not there ends with the shell's 127, and says so where its errors go.
 */
export function spawnWatched(
  watcher: ProcessWatcher | undefined,
  { command, args, ...watched }: Omit<WatchedProcess, 'pid'> & { command: string; args: readonly string[] },
  options: SpawnSettings & { readonly output: 'pipe' | number },
): ChildProcess {
  const { output, ...settings } = options;
  const child = spawn('/bin/sh', ['-c', START, 'sh', command, ...args], {
    ...settings,
    detached: true,
    stdio: ['pipe', output, output],
  });
  // A runner that is killed here leaves a shell without input, which ends.
  if (child.pid !== undefined) watcher?.watch({ ...watched, pid: child.pid });
  child.stdin?.on('error', () => {}); // it has ended already
  child.stdin?.end('go\n');
  return child;
}
