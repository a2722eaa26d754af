/** The benchmark's end of a process that takes orders: starts it, sends it orders with a deadline each, ends it. */
import { type ChildProcess, fork } from 'node:child_process';

const CLOSE_TIMEOUT_MS = 500;
const PRINTED_MAX = 2_000;

/** What a process can be told to do, each order with one argument at most. */
export type AnyOrders = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

export type OrderedProcessOptions = {
  /** How failures name it. */
  readonly name: string;
  /** A file that calls `takeOrders`. */
  readonly program: string;
  readonly orderTimeoutMs: number;
  /** @default - this process' own */
  readonly env?: NodeJS.ProcessEnv;
};

/** It ended, or it was late: it is of no use any more. */
export class LostProcessError extends Error {
  override readonly name = 'LostProcessError';
}

type Pending = { resolve(result: never): void; reject(error: Error): void };
type Answer = { readonly id: number; readonly result?: never; readonly error?: string };

export class OrderedProcess<Orders extends AnyOrders & { close(): Promise<void> }> {
  readonly name: string;
  /** Resolves when it has gone, however it ended. */
  readonly exited: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #orderTimeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #endedWith: string | undefined;
  #printed = '';

  constructor({ name, program, orderTimeoutMs, env = process.env }: OrderedProcessOptions) {
    this.name = name;
    this.#orderTimeoutMs = orderTimeoutMs;
    // What libraries print about a Redis that is frozen on purpose is kept only to explain a crash.
    this.#child = fork(program, {
      execArgv: ['--no-warnings'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env,
    });
    this.exited = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#printed = (this.#printed + text).slice(-PRINTED_MAX);
    });
    this.#child.on('message', (answer) => this.#settle(answer as Answer));
    this.#child.once('close', (code, signal) => this.#lose(`ended with ${code ?? signal}\n${this.#printed}`));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  order<Name extends keyof Orders>(
    name: Name,
    ...[argument]: Parameters<Orders[Name]>
  ): ReturnType<Orders[Name]> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<never>();
    this.#pending.set(id, { resolve, reject });
    const late = `${String(name)} took longer than ${this.#orderTimeoutMs} ms`;
    const timer = setTimeout(() => this.#fail(id, late), this.#orderTimeoutMs);
    if (this.#endedWith === undefined) this.#send(id, String(name), argument);
    else this.#fail(id, this.#endedWith);
    return promise.finally(() => clearTimeout(timer)) as ReturnType<Orders[Name]>;
  }

  /** Lets it close its connections, for a moment. */
  async close(): Promise<void> {
    const late = setTimeout(() => this.kill(), CLOSE_TIMEOUT_MS);
    await this.order('close', ...([] as unknown as Parameters<Orders['close']>)).catch(() => undefined);
    clearTimeout(late);
    await this.end();
  }

  /** Kills it, and resolves when it has gone. */
  async end(): Promise<void> {
    this.kill();
    await this.exited;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** One that is ending does not hear of it; its end fails it. */
  #send(id: number, order: string, argument: unknown): void {
    this.#child.send({ id, order, argument }, () => undefined);
  }

  #settle({ id, result, error }: Answer): void {
    const pending = this.#take(id);
    if (error === undefined) pending?.resolve(result as never);
    else pending?.reject(new Error(`${this.name}: ${error}`));
  }

  #fail(id: number, why: string): void {
    this.#take(id)?.reject(new LostProcessError(`${this.name}: ${why}`));
  }

  #lose(why: string): void {
    this.#endedWith = why;
    for (const id of [...this.#pending.keys()]) this.#fail(id, why);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
