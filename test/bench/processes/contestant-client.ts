/** The benchmark's end of a contestant's process: opens its contestant, and several of them a few at a time. */
import { fileURLToPath } from 'node:url';
import { MEASURED_CPU, pin } from './cpu-affinity.ts';
import { OrderedProcess } from './ordered-process.ts';
import type { Opening, Orders } from './orders.ts';

const PROCESS = fileURLToPath(new URL('./contestant-process.ts', import.meta.url));
const ORDER_TIMEOUT_MS = 60_000;
const PARALLEL_STARTS_MAX = 4;

export class ContestantClient extends OrderedProcess<Orders> {
  static async open(opening: Opening): Promise<ContestantClient> {
    const client = new ContestantClient({
      name: opening.entrant,
      program: PROCESS,
      orderTimeoutMs: ORDER_TIMEOUT_MS,
    });
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

  /** Runs on one processor from now on, away from Redis. */
  pin(): void {
    pin(this.pid, MEASURED_CPU);
  }
}

/** A few at a time, because a start takes a core for a while; all are ended when one fails. */
export async function openFew<Client extends { kill(): void }>(
  starts: readonly (() => Promise<Client>)[],
): Promise<Client[]> {
  const clients: Client[] = [];
  try {
    for (let from = 0; from < starts.length; from += PARALLEL_STARTS_MAX) {
      const some = starts.slice(from, from + PARALLEL_STARTS_MAX);
      const opened = await Promise.allSettled(some.map((start) => start()));
      clients.push(...opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
      for (const one of opened) if (one.status === 'rejected') throw one.reason;
    }
    return clients;
  } catch (error) {
    for (const client of clients) client.kill();
    throw error;
  }
}
