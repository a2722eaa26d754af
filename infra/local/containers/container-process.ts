/** Starts the child process of a container: its environment as in Lambda, its output line by line, its pid told to a watcher. */
import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { localRegion } from '../../assembly/intrinsics.ts';
import type { FunctionSpec } from '../../assembly/template.ts';
import { type Level, toLogLine } from '../log-line.ts';
import type { ProcessWatcher } from '../processes/run.ts';

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
export function forkRuntime(
  spec: FunctionSpec,
  options: ContainerOptions,
  currentTraceId: () => string,
): ChildProcess {
  const child = fork(runtimePath, [], {
    env: environmentOf(spec, options),
    execArgv: [`--max-old-space-size=${spec.memoryMiB}`],
    cwd: spec.codeDir,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const forward = (input: Readable | null, level: Level) => {
    if (input === null) return;
    const lines = createInterface({ input });
    lines.on('line', (line) => options.log(toLogLine(line, level, currentTraceId())));
  };
  forward(child.stdout, 'info');
  forward(child.stderr, 'error');
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
