/** The benchmark's end of a contestant's process: starts it, sends it orders with a deadline each, ends it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MEASURED_CPU, pin } from './cpu-affinity.ts';
import type { Opening, Orders } from './orders.ts';

const PROCESS = fileURLToPath(new URL('./contestant-process.ts', import.meta.url));
const ORDER_TIMEOUT_MS = 60_000;
const CLOSE_TIMEOUT_MS = 500;
const PARALLEL_STARTS_MAX = 4;
const PRINTED_MAX = 2_000;

type Pending = { resolve(result: never): void; reject(error: Error): void };
type Answer = { readonly id: number; readonly result?: never; readonly error?: string };

export class ContestantClient {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #printed = '';

  private constructor(name: string) {
    this.name = name;
    // What libraries print about a Redis that is frozen on purpose is kept only to explain a crash.
    this.#child = fork(PROCESS, { execArgv: ['--no-warnings'], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#printed = (this.#printed + text).slice(-PRINTED_MAX);
    });
    this.#child.on('message', (answer) => this.#settle(answer as Answer));
    this.#child.once('close', (code, signal) =>
      this.#failAll(`ended with ${code ?? signal}\n${this.#printed}`),
    );
  }

  static async open(opening: Opening): Promise<ContestantClient> {
    const client = new ContestantClient(opening.entrant);
    try {
      await client.order('open', opening);
      return client;
    } catch (error) {
      client.kill();
      throw error;
    }
  }

  /** A few at a time, because a start takes a core for a while; all are ended when one fails. */
  static async openAll(openings: readonly Opening[]): Promise<ContestantClient[]> {
    const clients: ContestantClient[] = [];
    try {
      for (let from = 0; from < openings.length; from += PARALLEL_STARTS_MAX) {
        const some = openings.slice(from, from + PARALLEL_STARTS_MAX);
        const opened = await Promise.allSettled(some.map((opening) => ContestantClient.open(opening)));
        clients.push(...opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
        for (const one of opened) if (one.status === 'rejected') throw one.reason;
      }
      return clients;
    } catch (error) {
      for (const client of clients) client.kill();
      throw error;
    }
  }

  order<Name extends keyof Orders>(
    name: Name,
    ...[argument]: Parameters<Orders[Name]>
  ): ReturnType<Orders[Name]> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<never>();
    this.#pending.set(id, { resolve, reject });
    const late = () => this.#settle({ id, error: `${name} took longer than ${ORDER_TIMEOUT_MS} ms` });
    const timer = setTimeout(late, ORDER_TIMEOUT_MS);
    this.#child.send({ id, order: name, argument });
    return promise.finally(() => clearTimeout(timer)) as ReturnType<Orders[Name]>;
  }

  /** Lets it close its connections, for a moment. */
  async close(): Promise<void> {
    const exited = this.#child.exitCode === null ? once(this.#child, 'exit') : Promise.resolve();
    const late = setTimeout(() => this.kill(), CLOSE_TIMEOUT_MS);
    await this.order('close').catch(() => undefined);
    this.kill();
    await exited;
    clearTimeout(late);
  }

  /** Runs on one processor from now on, away from Redis. */
  pin(): void {
    pin(this.#child.pid, MEASURED_CPU);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #settle({ id, result, error }: Answer): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(result as never);
    else pending?.reject(new Error(`${this.name}: ${error}`));
  }

  #failAll(why: string): void {
    for (const id of [...this.#pending.keys()]) this.#settle({ id, error: why });
  }
}
