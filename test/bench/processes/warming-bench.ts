/** Starts what the benchmarks of the warmer need, and ends it. */

import { type BenchServers, startServers } from '../servers.ts';
import { BenchProgram, withProcesses } from './bench-program.ts';
import type { ReaderOrders } from './reader-process.ts';
import type { WarmerOrders } from './warmer-process.ts';

type Warmer = BenchProgram<WarmerOrders>;
export type Reader = BenchProgram<ReaderOrders>;
type Reads = Parameters<ReaderOrders['read']>[0];
export type WarmingBench = {
  readonly servers: BenchServers;
  /** The first one of `warmers`. */
  readonly warmer: Warmer;
  readonly warmers: readonly Warmer[];
  readonly readers: readonly Reader[];
};

const WARMER = new URL('./warmer-process.ts', import.meta.url);
const READER = new URL('./reader-process.ts', import.meta.url);
const SEEDED_USERS = 20_500;
/** More than the largest run takes. */
const CALL_TIMEOUT_MS = 240_000;

export async function withWarmingBench<T>(
  readerCount: number,
  work: (bench: WarmingBench) => Promise<T>,
  warmerCount = 1,
): Promise<T> {
  const servers = await startServers(SEEDED_USERS);
  try {
    const urls = { redisUrl: servers.url, databaseUrl: await servers.makeDatabase('warming') };
    const starts = <Orders extends WarmerOrders | ReaderOrders>(
      name: string,
      program: URL,
      count: number,
    ) => {
      const options = { name, program, callTimeoutMs: CALL_TIMEOUT_MS, run: servers.run };
      const opening = [urls] as unknown as Parameters<Orders['open']>;
      const start = () => {
        const started = new BenchProgram<Orders>(options);
        return started.openedBy(started.call('open', ...opening));
      };
      return Array.from({ length: count }, () => start);
    };
    return await withProcesses(starts<WarmerOrders>('warmer', WARMER, warmerCount), (warmers) =>
      withProcesses(starts<ReaderOrders>('reader', READER, readerCount), (readers) =>
        work({ servers, warmer: warmers[0] as Warmer, warmers, readers }),
      ),
    );
  } finally {
    await servers.stop();
  }
}

/** What the reads of all `readers` took, each with a seed of its own in every round. */
export async function readTogether(
  { readers }: WarmingBench,
  { round, ...reads }: Omit<Reads, 'seed'> & { readonly round: number },
): Promise<number[]> {
  const all = readers.map((reader, index) =>
    reader.call('read', { ...reads, seed: round * readers.length + index }),
  );
  return (await Promise.all(all)).flat();
}
