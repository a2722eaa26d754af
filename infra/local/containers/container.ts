/** The runner's handle on one container: a child process with one function's bundle, which runs one invocation at a time. */
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { FunctionSpec } from '../../assembly/template.ts';
import { traceIdOf } from '../log-line.ts';
import { type ContainerOptions, forkRuntime } from './container-process.ts';
import type { FunctionError, Invocation, RuntimeMessage } from './container-runtime.ts';

export type Outcome =
  | { readonly kind: 'answered'; readonly payload: string }
  | { readonly kind: 'failed'; readonly error: FunctionError }
  | { readonly kind: 'timed-out'; readonly error: FunctionError }
  | { readonly kind: 'throttled'; readonly error: FunctionError };

/** Lambda gives an init 10 s; here two cores may be starting everything at once. */
const initTimeoutMs = 30_000;

/** Within the time that a stop has. */
const ORDERLY_END_MS = 1_000;

export class Container {
  readonly #spec: FunctionSpec;
  readonly #options: ContainerOptions;
  readonly #child: ChildProcess;
  #settle: ((outcome: Outcome | 'ready') => void) | undefined;
  #isKilled = false;
  /** Of the invocation that runs or ran last; before the first one, the container's own. */
  #traceId = `init-${randomUUID()}`;
  /** Resolves when the process is gone; never rejects. */
  readonly ended: Promise<void>;

  private constructor(spec: FunctionSpec, options: ContainerOptions) {
    this.#spec = spec;
    this.#options = options;
    this.#child = forkRuntime(spec, options, () => this.#traceId);
    this.ended = waitForEnd(this.#child);
    this.#child.on('message', (message: RuntimeMessage) => this.#receive(message));
    this.#child.once('exit', (code, signal) =>
      this.#end(`Runtime exited with error: ${signal ?? `exit status ${code}`}`),
    );
    this.#child.on('error', (error) => this.#end(`Runtime could not be started: ${error.message}`));
  }

  /** A container that has run its init, or why it could not. `onFork` gets it before, so that it can be ended. */
  static async start(
    spec: FunctionSpec,
    options: ContainerOptions,
    onFork: (container: Container) => void,
  ): Promise<Container | Outcome> {
    const container = new Container(spec, options);
    onFork(container);
    const outcome = await container.#await(initTimeoutMs, 'Init');
    if (outcome === 'ready') return container;
    container.kill();
    return outcome;
  }

  get isAlive(): boolean {
    return (
      !this.#isKilled &&
      this.#child.pid !== undefined &&
      this.#child.exitCode === null &&
      this.#child.signalCode === null
    );
  }

  /** Never rejects. After a timeout or a crash the container is dead. */
  async invoke(payload: string): Promise<Outcome> {
    const { timeoutMs, arn } = this.#spec;
    const invocation: Invocation = {
      requestId: randomUUID(),
      payload,
      deadlineMs: Date.now() + timeoutMs,
      arn,
    };
    this.#traceId = traceIdOf(JSON.parse(payload), invocation.requestId);
    this.#thaw();
    this.#child.send(invocation, (error) => error && this.#end(`Runtime is gone: ${error.message}`));
    const outcome = (await this.#await(timeoutMs, 'Task')) as Outcome;
    if (outcome.kind === 'timed-out') this.kill();
    else this.#freeze();
    return outcome;
  }

  /** At once; a frozen process heeds no other signal. */
  kill(): void {
    this.#isKilled = true;
    this.#child.kill('SIGKILL');
  }

  /** Lets a function give back what it holds, such as a lock, for a moment. Resolves when the process is gone. */
  async end(): Promise<void> {
    this.#isKilled = true;
    this.#child.kill('SIGTERM');
    this.#child.kill('SIGCONT'); // frozen, it would heed the first one never
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), ORDERLY_END_MS);
    await this.ended;
    clearTimeout(timer);
  }

  #thaw(): void {
    if (this.#options.freeze) this.#child.kill('SIGCONT');
  }

  #freeze(): void {
    if (this.#options.freeze && this.isAlive) this.#child.kill('SIGSTOP');
  }

  #await(limitMs: number, what: string): Promise<Outcome | 'ready'> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle?.(timedOut(what, limitMs)), limitMs);
      this.#settle = (outcome) => {
        clearTimeout(timer);
        this.#settle = undefined;
        resolve(outcome);
      };
    });
  }

  #receive(message: RuntimeMessage): void {
    if (message.type === 'ready') this.#settle?.('ready');
    else if (message.type === 'answered') this.#settle?.({ kind: 'answered', payload: message.payload });
    else this.#settle?.({ kind: 'failed', error: message.error });
  }

  #end(errorMessage: string): void {
    if (this.#child.pid !== undefined) this.#options.watcher?.forget(this.#child.pid);
    this.#settle?.({ kind: 'failed', error: { errorType: 'Runtime.ExitError', errorMessage } });
  }
}

function waitForEnd(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
}

function timedOut(what: string, limitMs: number): Outcome {
  const errorMessage = `${what} timed out after ${(limitMs / 1000).toFixed(2)} seconds`;
  return { kind: 'timed-out', error: { errorType: 'Sandbox.Timedout', errorMessage } };
}
