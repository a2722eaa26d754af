/** The containers of one contestant, which are started, read and end together. */
import { fileURLToPath } from 'node:url';
import type { Run } from '../../../../infra/local/processes/run.ts';
import { openFew } from '../../processes/contestant-client.ts';
import { OrderedProcess } from '../../processes/ordered-process.ts';
import { deal } from '../trace/split-trace.ts';
import type { ContainerOpening, ContainerOrders, PacedAnswers, Replayed } from './orders.ts';

const PROGRAM = fileURLToPath(new URL('./container-process.ts', import.meta.url));
const ORDER_TIMEOUT_MS = 240_000;
/** By then all containers have their requests and wait for the first one. */
const START_DELAY_MS = 300;

type Container = OrderedProcess<ContainerOrders>;

export class Fleet {
  readonly #containers: readonly Container[];

  private constructor(containers: readonly Container[]) {
    this.#containers = containers;
  }

  /** Resolves when all are ready for requests. The reaper of `run` ends them when this process dies. */
  static async start(run: Run, opening: ContainerOpening, count: number): Promise<Fleet> {
    return new Fleet(await openFew(Array.from({ length: count }, () => () => startContainer(run, opening))));
  }

  /**
   * As fast as they can, in the order of the requests but for that. Answers how many statements went to Postgres. Throws
   * when a read failed.
   */
  async replay(userIds: readonly number[]): Promise<number> {
    const hands = deal(userIds, this.#containers.length);
    const replayed = await this.#all((container, place) => container.order('replay', hands[place] ?? []));
    const sumOf = (count: keyof Replayed) => replayed.reduce((sum, each) => sum + each[count], 0);
    if (sumOf('failed') > 0)
      throw new Error(`${sumOf('failed')} of ${userIds.length} reads failed without any load.`);
    return sumOf('statements');
  }

  async flush(): Promise<void> {
    await this.#all((container) => container.order('flush'));
  }

  /** At a fixed rate of all containers together: each request is due at its time, whichever container it is for. */
  answer(userIds: readonly number[], paceMs: number): Promise<PacedAnswers[]> {
    const hands = deal(userIds, this.#containers.length);
    const firstAtMs = Date.now() + START_DELAY_MS;
    return this.#all((container, place) => {
      const startAtMs = firstAtMs + (place * paceMs) / this.#containers.length;
      return container.order('answer', { userIds: hands[place] ?? [], startAtMs, paceMs });
    });
  }

  /** Without a word, as containers end: what they did not hand on is lost. */
  async end(): Promise<void> {
    await this.#all((container) => container.end());
  }

  #all<T>(act: (container: Container, place: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#containers.map(act));
  }
}

async function startContainer(run: Run, opening: ContainerOpening): Promise<Container> {
  const container: Container = new OrderedProcess({
    name: opening.entrant,
    program: PROGRAM,
    orderTimeoutMs: ORDER_TIMEOUT_MS,
  });
  watch(run, container);
  try {
    await container.order('open', opening);
    return container;
  } catch (error) {
    container.kill();
    throw error;
  }
}

/** From its start to its end. */
export function watch(run: Run, { name, pid, exited }: OrderedProcess<never>): void {
  if (pid === undefined) return;
  run.watch({ name, pid, stopSignal: 'SIGKILL' });
  void exited.then(() => run.forget(pid));
}
