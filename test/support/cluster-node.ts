/** One Redis process of a test's cluster. */
import { Redis } from 'ioredis';
import type { ServerProcess } from '../../infra/local/processes/processes.ts';
import { findFreePort, LOOPBACK } from '../../infra/local/servers/ports.ts';
import { startRedis } from '../../infra/local/servers/redis.ts';
import type { StartContext } from '../../infra/local/servers/start-context.ts';

const ADMIN_TIMEOUT_MS = 5_000;

export class ClusterNode {
  readonly port: number;
  /** Where the nodes talk to each other. */
  readonly busPort: number;
  /** A connection to this node alone; tries again for as long as the node is away. */
  readonly admin: Redis;
  readonly #context: StartContext;
  readonly #name: string;
  readonly #nodeTimeoutMs: number;
  #server: ServerProcess | undefined;
  #id = '';

  private constructor(
    context: StartContext,
    name: string,
    ports: readonly [number, number],
    nodeTimeoutMs: number,
  ) {
    [this.port, this.busPort] = ports;
    this.#context = context;
    this.#name = name;
    this.#nodeTimeoutMs = nodeTimeoutMs;
    this.admin = new Redis({
      host: LOOPBACK,
      port: this.port,
      lazyConnect: true,
      commandTimeout: ADMIN_TIMEOUT_MS,
      retryStrategy: () => 50,
    });
    this.admin.on('error', () => {}); // each command tells of its own failure
  }

  static async plan(context: StartContext, name: string, nodeTimeoutMs: number): Promise<ClusterNode> {
    return new ClusterNode(context, name, [await findFreePort(), await findFreePort()], nodeTimeoutMs);
  }

  /** The name by which the other nodes know it. */
  get id(): string {
    return this.#id;
  }

  get isRunning(): boolean {
    return this.#server?.isRunning ?? false;
  }

  /** Also after `kill`: with its slots and its name, but empty. */
  async start(): Promise<void> {
    const args = [
      ...['--cluster-enabled', 'yes'],
      // A replica is sent the data at once, not after the five seconds in which others could join it.
      ...['--repl-diskless-sync-delay', '0'],
      ...['--cluster-port', String(this.busPort)],
      ...['--cluster-node-timeout', String(this.#nodeTimeoutMs)],
    ];
    const { process: server } = await startRedis(this.#context, this.port, { name: this.#name, args });
    this.#server = server;
    this.#id = (await this.admin.cluster('MYID')) as string;
  }

  /** Keeps its connections open and answers nothing, as a node behind a broken network does. */
  freeze(): void {
    this.#send('SIGSTOP');
  }

  thaw(): void {
    this.#send('SIGCONT');
  }

  /** Cuts its connections and refuses new ones. */
  async kill(): Promise<void> {
    this.#send('SIGKILL'); // reaches a frozen process too
    await this.#server?.exited;
  }

  async end(): Promise<void> {
    this.admin.disconnect();
    await this.kill();
  }

  #send(signal: NodeJS.Signals): void {
    if (this.#server?.isRunning) process.kill(this.#server.pid, signal);
  }
}
