/** The benchmark's end of a process that takes orders: starts it, sends it orders with a deadline each, ends it. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Run } from '../../../infra/local/processes/run.ts';

const CLOSE_TIMEOUT_MS = 500;
const PRINTED_MAX = 2_000;
const PARALLEL_STARTS_MAX = 4;

/** What a process can be told to do, each order with one argument at most. */
export type AnyOrders = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

export type OrderedProcessOptions = {
  /** How failures name it. */
  readonly name: string;
  /** A file that calls `takeOrders`. */
  readonly program: string | URL;
  readonly orderTimeoutMs: number;
  /** @default - this process' own */
  readonly env?: NodeJS.ProcessEnv;
  /** Whose reaper ends it when this process dies. @default - it ends by itself, when it hears of that */
  readonly run?: Run | undefined;
};

/** It ended, or it was late: it is of no use any more. */
export class LostProcessError extends Error {
  override readonly name = 'LostProcessError';
}

type Pending = { resolve(result: unknown): void; reject(error: Error): void };
type Answer = { readonly id: number; readonly result?: unknown; readonly error?: string };

export class OrderedProcess<Orders extends AnyOrders> {
  readonly name: string;
  /** Resolves when it has gone, however it ended. */
  readonly exited: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #orderTimeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #endedWith: string | undefined;
  #printed = '';

  constructor({ name, program, orderTimeoutMs, env = process.env, run }: OrderedProcessOptions) {
    this.name = name;
    this.#orderTimeoutMs = orderTimeoutMs;
    // What libraries print about a Redis that is frozen on purpose is kept only to explain a crash.
    const stdio = ['ignore', 'ignore', 'pipe', 'ipc'] as const;
    this.#child = fork(program, { execArgv: ['--no-warnings'], stdio: [...stdio], env });
    this.exited = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#printed = (this.#printed + text).slice(-PRINTED_MAX);
    });
    this.#child.on('message', (answer) => this.#settle(answer as Answer));
    this.#child.once('close', (code, signal) => this.#lose(`ended with ${code ?? signal}\n${this.#printed}`));
    const { pid } = this.#child;
    if (run === undefined || pid === undefined) return;
    run.watch({ name, pid, stopSignal: 'SIGKILL' });
    void this.exited.then(() => run.forget(pid));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Answers the process itself, which has done its first order; ends it when that fails. */
  async open(...[opening]: Parameters<Orders['open']>): Promise<this> {
    try {
      await this.#order('open', opening);
      return this;
    } catch (error) {
      this.kill();
      throw error;
    }
  }

  order<Name extends keyof Orders & string>(
    name: Name,
    ...[argument]: Parameters<Orders[Name]>
  ): ReturnType<Orders[Name]> {
    return this.#order(name, argument) as ReturnType<Orders[Name]>;
  }

  /** Lets it close its connections, for a moment. */
  async close(): Promise<void> {
    const late = setTimeout(() => this.kill(), CLOSE_TIMEOUT_MS);
    await this.#order('close').catch(() => undefined);
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

  #order(order: string, argument?: unknown): Promise<unknown> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    const late = `${order} took longer than ${this.#orderTimeoutMs} ms`;
    const timer = setTimeout(() => this.#fail(id, late), this.#orderTimeoutMs);
    if (this.#endedWith !== undefined) this.#fail(id, this.#endedWith);
    // One that is ending does not hear of it; its end fails it.
    else this.#child.send({ id, order, argument }, () => undefined);
    return promise.finally(() => clearTimeout(timer));
  }

  #settle({ id, result, error }: Answer): void {
    const pending = this.#take(id);
    if (error === undefined) pending?.resolve(result);
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

/**
 * What `work` answers of the processes that `starts` start, a few at a time, because a start takes a core for a while. What
 * answers nothing is left out. All are ended, even when one fails to start.
 */
export async function withProcesses<Each extends { close(): Promise<void> }, T>(
  starts: readonly (() => Promise<Each | undefined>)[],
  work: (processes: readonly Each[]) => Promise<T>,
  end: (each: Each) => Promise<void> = (each) => each.close(),
): Promise<T> {
  const processes: Each[] = [];
  try {
    for (let from = 0; from < starts.length; from += PARALLEL_STARTS_MAX) {
      const some = starts.slice(from, from + PARALLEL_STARTS_MAX);
      const started = await Promise.allSettled(some.map((start) => start()));
      processes.push(...started.flatMap((one) => (one.status === 'fulfilled' ? (one.value ?? []) : [])));
      for (const one of started) if (one.status === 'rejected') throw one.reason;
    }
    return await work(processes);
  } finally {
    await Promise.all(processes.map(end));
  }
}
