/** Starts the child process of a container: its environment as in Lambda, its output line by line, its pid told to a watcher. */
import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { localRegion } from '../template/intrinsics.ts';
import type { FunctionSpec } from '../template/template.ts';

/** Is told of each container's process, so that a frozen one can be ended should the runner disappear. */
export type ProcessWatcher = {
  watch(process: { name: string; pid: number; stopSignal: NodeJS.Signals }): void;
  forget(pid: number): void;
};

export type ContainerOptions = {
  /** Where the function's SDK finds the Lambda API. */
  readonly lambdaEndpoint: string;
  /** Stops the process between invocations, as Lambda does. */
  readonly freeze: boolean;
  readonly log: (line: string) => void;
  readonly watcher?: ProcessWatcher | undefined;
};

const runtimePath = fileURLToPath(new URL('./container-runtime.ts', import.meta.url));

/** In a process group of its own: Ctrl-C in the terminal is for the runner, which ends the containers in order. */
export function forkRuntime(spec: FunctionSpec, options: ContainerOptions): ChildProcess {
  const child = fork(runtimePath, [], {
    env: environmentOf(spec, options),
    execArgv: [`--max-old-space-size=${spec.memoryMiB}`],
    cwd: spec.codeDir,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', options.log);
  }
  if (child.pid !== undefined) {
    options.watcher?.watch({ name: spec.name, pid: child.pid, stopSignal: 'SIGKILL' });
  }
  return child;
}

/** What the template says and what Lambda itself sets, and nothing of the runner's own environment but the PATH. */
function environmentOf(spec: FunctionSpec, options: ContainerOptions): Record<string, string> {
  return {
    ...spec.environment,
    _HANDLER: spec.handler,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_LAMBDA: options.lambdaEndpoint,
    AWS_DEFAULT_REGION: localRegion,
    AWS_REGION: localRegion,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMiB),
    AWS_LAMBDA_FUNCTION_NAME: spec.name,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    LAMBDA_TASK_ROOT: spec.codeDir,
    PATH: process.env['PATH'] ?? '',
    TZ: ':UTC',
  };
}
