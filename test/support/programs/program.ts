/** The outer end of a child process that does what it is told: starts it, calls its actions with a time limit each, freezes and ends it. */
import { type ChildProcess, type ForkOptions, fork } from 'node:child_process';
import type { ProcessWatcher } from '../../../infra/local/processes/run.ts';
import type { Actions, Answer, Call } from './offer.ts';

type ProgramOptions = {
  /** How failures name it. */
  readonly name: string;
  /** The file that calls `offer`. */
  readonly path: string | URL;
  /** How long one answer may take. */
  readonly callTimeoutMs: number;
  /** Ends it when this process dies. @default - nobody */
  readonly watcher?: ProcessWatcher;
  readonly fork: ForkOptions;
};

/** It ended, or it was late: it is of no use any more. */
export class LostProcessError extends Error {
  override readonly name = 'LostProcessError';
}

type Waiting = { resolve(result: never): void; reject(error: Error): void };

const CLOSE_TIMEOUT_MS = 500;
/** Enough for what a test looks for, and for why a process crashed. */
const OUTPUT_MAX = 5_000_000;
const LAST_WORDS_MAX = 2_000;

export class Program<Offered extends Actions> {
  readonly name: string;
  /** Resolves when it has gone, however it ended. */
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #callTimeoutMs: number;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #endedWith: string | undefined;
  #output = '';

  constructor({ name, path, callTimeoutMs, watcher, fork: options }: ProgramOptions) {
    this.name = name;
    this.#callTimeoutMs = callTimeoutMs;
    this.#child = fork(path, { execArgv: ['--no-warnings'], ...options });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_MAX);
      });
    }
    this.#child.on('message', (answer) => this.#settle(answer as Answer));
    this.exited = new Promise((resolve) => this.#child.once('close', () => resolve()));
    this.#child.once('close', (code, signal) => this.#lose(`ended with ${code ?? signal}`));
    if (watcher !== undefined) this.#watch(watcher);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has written so far to the streams that are pipes. */
  output(): string {
    return this.#output;
  }

  /** Resolves when everything is open in it. */
  async ready(): Promise<void> {
    await this.#ask({ args: [] });
  }

  /** Has it do something. Rejects with what it threw, when it ends meanwhile, and when it is late. */
  call<Action extends keyof Offered & string>(
    action: Action,
    ...args: Parameters<Offered[Action]>
  ): Promise<Awaited<ReturnType<Offered[Action]>>> {
    return this.#ask({ action, args });
  }

  /** Itself when `first`, its first work, is done; it ends when that fails. */
  async openedBy(first: Promise<unknown>): Promise<this> {
    await first.catch(async (error) => {
      await this.kill();
      throw error;
    });
    return this;
  }

  /** What it is told meanwhile it does after the thaw. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** Lets it close its connections, for a moment. */
  async close(): Promise<void> {
    const late = setTimeout(() => this.kill(), CLOSE_TIMEOUT_MS);
    await this.#ask({ action: 'close', args: [] }).catch(() => undefined);
    clearTimeout(late);
    await this.kill();
  }

  /** Frozen or not; resolves when it has gone. Can be called twice. */
  kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    return this.exited;
  }

  #watch(watcher: ProcessWatcher): void {
    const { pid, name } = this;
    if (pid === 0) return;
    watcher.watch({ name, pid, stopSignal: 'SIGKILL' });
    void this.exited.then(() => watcher.forget(pid));
  }

  #ask(asked: Omit<Call, 'id'>): Promise<never> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<never>();
    this.#waiting.set(id, { resolve, reject });
    const late = `${asked.action ?? 'its start'} took longer than ${this.#callTimeoutMs} ms`;
    const timer = setTimeout(() => this.#fail(id, late), this.#callTimeoutMs);
    if (this.#endedWith !== undefined) this.#fail(id, this.#endedWith);
    // One that is ending does not hear of it; its end fails it.
    else this.#child.send({ ...asked, id } satisfies Call, () => undefined);
    const settled = promise.finally(() => clearTimeout(timer));
    settled.catch(() => {}); // a test that has failed awaits it no more
    return settled;
  }

  #settle({ id, result, error }: Answer): void {
    const waiting = this.#take(id);
    if (error === undefined) waiting?.resolve(result as never);
    else waiting?.reject(new Error(`${this.name}: ${error}`));
  }

  #fail(id: number, why: string): void {
    this.#take(id)?.reject(new LostProcessError(`${this.name}: ${why}`));
  }

  #lose(why: string): void {
    this.#endedWith = `${why}\n${this.#output.slice(-LAST_WORDS_MAX)}`;
    for (const id of [...this.#waiting.keys()]) this.#fail(id, this.#endedWith);
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}
