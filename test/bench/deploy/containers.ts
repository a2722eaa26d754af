/** The processes of one contestant: containers, which are started, read and end together, and a warmer for each warm-up. */
import type { Run } from '../../../infra/local/processes/run.ts';
import type { Trigger } from '../../../shared/warming/report.ts';
import { BenchProgram, withProcesses } from '../processes/bench-program.ts';
import type { ContainerOpening, ContainerOrders, PacedAnswers, Replayed } from './container-process.ts';
import { deal } from './trace.ts';
import type { WarmerOrders, WarmerResult } from './warmer-process.ts';

const CONTAINER = new URL('./container-process.ts', import.meta.url);
const WARMER = new URL('./warmer-process.ts', import.meta.url);
const CALL_TIMEOUT_MS = 240_000;
const WARMUP_TIMEOUT_MS = 75_000;
/** By then all containers have their requests and wait for the first one. */
const START_DELAY_MS = 300;

type Container = BenchProgram<ContainerOrders>;

/** What `work` answers of `count` containers that are ready for requests. The reaper of `run` ends them when this process dies. */
export function withFleet<T>(
  run: Run,
  opening: ContainerOpening,
  count: number,
  work: (fleet: Fleet) => Promise<T>,
): Promise<T> {
  const options = { name: opening.entrant, program: CONTAINER, callTimeoutMs: CALL_TIMEOUT_MS, run };
  const start = () => {
    const container = new BenchProgram<ContainerOrders>(options);
    return container.openedBy(container.call('open', opening));
  };
  return withProcesses(
    Array.from({ length: count }, () => start),
    (containers) => work(new Fleet(containers)),
    (container) => container.kill(), // without a word, as containers end: what they did not hand on is lost
  );
}

/** The containers of one contestant. */
export class Fleet {
  readonly #containers: readonly Container[];

  constructor(containers: readonly Container[]) {
    this.#containers = containers;
  }

  /**
   * As fast as they can, in the order of the requests but for that. Answers how many statements went to Postgres. Throws
   * when a read failed.
   */
  async replay(userIds: readonly number[]): Promise<number> {
    const hands = deal(userIds, this.#containers.length);
    const replayed = await this.#all((container, place) => container.call('replay', hands[place] ?? []));
    const sumOf = (count: keyof Replayed) => replayed.reduce((sum, each) => sum + each[count], 0);
    if (sumOf('failed') > 0)
      throw new Error(`${sumOf('failed')} of ${userIds.length} reads failed without any load.`);
    return sumOf('statements');
  }

  async flush(): Promise<void> {
    await this.#all((container) => container.call('flush'));
  }

  /** At a fixed rate of all containers together: each request is due at its time, whichever container it is for. */
  answer(userIds: readonly number[], paceMs: number): Promise<PacedAnswers[]> {
    const hands = deal(userIds, this.#containers.length);
    const firstAtMs = Date.now() + START_DELAY_MS;
    return this.#all((container, place) => {
      const startAtMs = firstAtMs + (place * paceMs) / this.#containers.length;
      return container.call('answer', { userIds: hands[place] ?? [], startAtMs, paceMs });
    });
  }

  #all<T>(act: (container: Container, place: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#containers.map(act));
  }
}

/** `tookMs`: with the start of the process. */
export type WarmUp = WarmerResult & { readonly tookMs: number };

/** As the product does it. Throws when the warm-up did not do all that it planned: figures after it would be of something else. */
export async function runWarmUp(
  run: Run,
  { redisUrl, databaseUrl }: { readonly redisUrl: string; readonly databaseUrl: string },
  trigger: Trigger,
): Promise<WarmUp> {
  const beganMs = performance.now();
  const urls = { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl, PUSHGATEWAY_URL: '' };
  const env = { ...process.env, ...urls, LOG_LEVEL: 'silent' };
  const options = { name: 'warmer', program: WARMER, callTimeoutMs: WARMUP_TIMEOUT_MS, env, run };
  const warmer = new BenchProgram<WarmerOrders>(options);
  try {
    const result = await warmer.call('warm', trigger);
    if (result.report.status !== 'success')
      throw new Error(`The warm-up (${trigger}) ended: ${JSON.stringify(result.report)}`);
    return { ...result, tookMs: performance.now() - beganMs };
  } finally {
    await warmer.kill();
  }
}
