/** The benchmark's end of a contestant's process: opens its contestant, and several of them a few at a time. */
import { fileURLToPath } from 'node:url';
import type { EntrantName } from '../contestants/index.ts';
import type { Failures } from '../failures.ts';
import { MEASURED_CPU, pin } from './cpu-affinity.ts';
import { OrderedProcess } from './ordered-process.ts';
import type { Opening, Orders } from './orders.ts';

const PROCESS = fileURLToPath(new URL('./contestant-process.ts', import.meta.url));
const ORDER_TIMEOUT_MS = 30_000;
const PARALLEL_STARTS_MAX = 4;

export class ContestantClient extends OrderedProcess<Orders> {
  readonly #entrant: EntrantName;

  constructor(
    entrant: EntrantName,
    { name = entrant as string, program = PROCESS, orderTimeoutMs = ORDER_TIMEOUT_MS } = {},
  ) {
    super({ name, program, orderTimeoutMs });
    this.#entrant = entrant;
  }

  static async open(opening: Opening, name: string = opening.entrant): Promise<ContestantClient> {
    const client = new ContestantClient(opening.entrant, { name });
    try {
      await client.order('open', opening);
      return client;
    } catch (error) {
      client.kill();
      throw error;
    }
  }

  static openAll(openings: readonly Opening[]): Promise<ContestantClient[]> {
    return openFew(openings.map((opening) => () => ContestantClient.open(opening)));
  }

  /** One for each of `openings`, under its name there; without the peers that cannot be opened. */
  static async openEach(
    openings: ReadonlyMap<string, Opening>,
    failures: Failures<EntrantName>,
  ): Promise<ContestantClient[]> {
    const open = (name: string, opening: Opening) => () =>
      failures.spare(opening.entrant, () => ContestantClient.open(opening, name), name);
    return openFew([...openings].map(([name, opening]) => open(name, opening)));
  }

  /** What `work` with it answers. A peer that fails at it ends, and answers undefined. */
  spare<T>(failures: Failures<EntrantName>, work: () => Promise<T>): Promise<T | undefined> {
    const failing = (error: unknown) => {
      this.kill();
      throw error;
    };
    return failures.spare(this.#entrant, () => work().catch(failing), this.name);
  }

  /** Runs on one processor from now on, away from Redis. */
  pin(): void {
    pin(this.pid, MEASURED_CPU);
  }
}

/** A few at a time, because a start takes a core for a while; all are ended when one fails. What answers nothing is left out. */
export async function openFew<Client extends { kill(): void }>(
  starts: readonly (() => Promise<Client | undefined>)[],
): Promise<Client[]> {
  const clients: Client[] = [];
  try {
    for (let from = 0; from < starts.length; from += PARALLEL_STARTS_MAX) {
      const some = starts.slice(from, from + PARALLEL_STARTS_MAX);
      const opened = await Promise.allSettled(some.map((start) => start()));
      clients.push(...opened.flatMap((one) => (one.status === 'fulfilled' ? (one.value ?? []) : [])));
      for (const one of opened) if (one.status === 'rejected') throw one.reason;
    }
    return clients;
  } catch (error) {
    for (const client of clients) client.kill();
    throw error;
  }
}
