/** Runs one command to its end within a bound and returns what it printed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Runs a command to its end and returns what it printed; rejects with the last line that it wrote to standard error. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: {
    cwd?: string;
    env?: NodeJS.ProcessEnv;
    uid?: number;
    gid?: number;
    timeoutMs: number;
    signal?: AbortSignal;
  },
): Promise<string> {
  const { timeoutMs, signal, ...spawnOptions } = options;
  const limit = AbortSignal.timeout(timeoutMs);
  const child = spawn(command, args, {
    ...spawnOptions,
    detached: true, // a Ctrl-C ends it through `signal`, so that it is told as a stop and not as a failure
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    killSignal: 'SIGKILL',
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const [code] = await once(child, 'close').catch((error: unknown) => {
    throw limit.aborted ? new Error(`${command} took longer than ${timeoutMs / 1000} s`) : error;
  });
  if (code !== 0)
    throw new Error(output.stderr.trim().split('\n').at(-1) || `${command} ended with exit code ${code}`);
  return output.stdout;
}
