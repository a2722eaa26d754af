/** The runner's handle on one container: a child process with one function's bundle, which runs one invocation at a time. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { localRegion } from '../../assembly/intrinsics.ts';
import type { FunctionSpec } from '../../assembly/template.ts';
import { type Level, toLogLine, traceIdOf } from '../log-line.ts';
import { endProcesses, identify } from '../processes/process-identity.ts';
import type { ProcessWatcher } from '../processes/run.ts';
import type { Answer, FunctionError, Invocation } from './container-runtime.ts';

export type ContainerOptions = {
  /** Where the function's SDK finds the Lambda API. */
  readonly lambdaEndpoint: string;
  /** Stops the process between invocations, as Lambda does. */
  readonly freeze: boolean;
  readonly log: (line: string) => void;
  readonly watcher?: ProcessWatcher | undefined;
};

export type Outcome =
  | { readonly kind: 'answered'; readonly payload: string }
  | { readonly kind: 'failed' | 'timed-out' | 'throttled'; readonly error: FunctionError };

/** Lambda gives an init 10 s; here two cores may be starting everything at once. */
const initTimeoutMs = 30_000;
/** Within the time that a stop has. */
const ORDERLY_END_MS = 1_000;

const runtimePath = fileURLToPath(new URL('./container-runtime.ts', import.meta.url));

export class Container {
  readonly #spec: FunctionSpec;
  readonly #options: ContainerOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  #isStopped = false;
  /** Of the invocation that runs or ran last; before the first one, the container's own. */
  #traceId = '';

  constructor(spec: FunctionSpec, options: ContainerOptions) {
    this.#spec = spec;
    this.#options = options;
  }

  get isAlive(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Never rejects. Starts the process at the first invocation, and anew when it has died. */
  async invoke(payload: string): Promise<Outcome> {
    if (this.#isStopped) return throttled('The stage is stopping');
    if (!this.isAlive) {
      this.#start();
      const init = await this.#awaitAnswer(initTimeoutMs, 'Init');
      if (init.kind !== 'ready') {
        this.kill();
        return init;
      }
    }
    const { timeoutMs, arn } = this.#spec;
    const invocation: Invocation = {
      requestId: randomUUID(),
      payload,
      deadlineMs: Date.now() + timeoutMs,
      arn,
    };
    this.#traceId = traceIdOf(JSON.parse(payload), invocation.requestId);
    if (this.#options.freeze) this.#child?.kill('SIGCONT');
    this.#child?.send(invocation);
    const outcome = (await this.#awaitAnswer(timeoutMs, 'Task')) as Outcome;
    if (outcome.kind === 'timed-out') this.kill();
    else if (this.#options.freeze) this.#child?.kill('SIGSTOP');
    return outcome;
  }

  /** At once; a frozen process heeds no other signal. */
  kill(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  /** Lets a function give back what it holds, such as a lock, for a moment. Resolves when the process is gone. */
  async end(): Promise<void> {
    this.#isStopped = true;
    const identity = this.isAlive ? identify(this.#child?.pid ?? 0) : undefined;
    if (identity) await endProcesses([{ identity, stopSignal: 'SIGTERM' }], ORDERLY_END_MS);
    await this.#ended;
  }

  /** In a process group of its own: Ctrl-C in the terminal is for the runner, which ends the containers in order. */
  #start(): void {
    const { log, watcher } = this.#options;
    const child = fork(runtimePath, [], {
      env: environmentOf(this.#spec, this.#options),
      execArgv: [`--max-old-space-size=${this.#spec.memoryMiB}`],
      cwd: this.#spec.codeDir,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#traceId = `init-${randomUUID()}`;
    child.on('error', () => {}); // whoever waits for an answer hears of it
    const forward = (input: Readable | null, level: Level) =>
      input && createInterface({ input }).on('line', (line) => log(toLogLine(line, level, this.#traceId)));
    forward(child.stdout, 'info');
    forward(child.stderr, 'error');
    const { pid } = child;
    if (pid === undefined) return;
    watcher?.watch({ name: this.#spec.name, pid, stopSignal: 'SIGKILL' });
    this.#ended = new Promise((resolve) => child.once('exit', resolve)).then(() => watcher?.forget(pid));
  }

  /** What the process says next, or why it says nothing. */
  async #awaitAnswer(limitMs: number, what: string): Promise<Answer | Outcome> {
    const child = this.#child as ChildProcess;
    const answered = new AbortController();
    const { signal } = answered;
    const late = `${what} timed out after ${(limitMs / 1000).toFixed(2)} seconds`;
    try {
      return await Promise.race([
        once(child, 'message', { signal }).then(([answer]) => answer as Answer),
        once(child, 'exit', { signal }).then(([code, by]) =>
          failed('failed', 'Runtime.ExitError', `Runtime exited with error: ${by ?? `exit status ${code}`}`),
        ),
        delay(limitMs, failed('timed-out', 'Sandbox.Timedout', late), { signal }),
      ]);
    } catch (error) {
      return failed('failed', 'Runtime.ExitError', `Runtime is gone: ${(error as Error).message}`);
    } finally {
      answered.abort();
    }
  }
}

export function throttled(reason: string): Outcome {
  return failed('throttled', 'TooManyRequestsException', `Rate Exceeded: ${reason}`);
}

function failed(
  kind: 'failed' | 'timed-out' | 'throttled',
  errorType: string,
  errorMessage: string,
): Outcome {
  return { kind, error: { errorType, errorMessage } };
}

/** What the template says and what Lambda itself sets, and nothing of the runner's own environment but the PATH. */
function environmentOf(spec: FunctionSpec, { lambdaEndpoint }: ContainerOptions): NodeJS.ProcessEnv {
  return {
    ...spec.environment,
    _HANDLER: spec.handler,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_LAMBDA: lambdaEndpoint,
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
