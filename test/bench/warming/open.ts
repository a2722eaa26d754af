/** Starts what the benchmarks of the warmer need, and ends it. */
import { fileURLToPath } from 'node:url';
import { type DeployServers, startDeployServers } from '../deploy/servers.ts';
import { openFew } from '../processes/contestant-client.ts';
import { OrderedProcess } from '../processes/ordered-process.ts';
import type { ReaderOrders, Servers, WarmerOrders } from './orders.ts';

export type WarmingBench = {
  readonly servers: DeployServers;
  /** The first one of `warmers`. */
  readonly warmer: OrderedProcess<WarmerOrders>;
  readonly warmers: readonly OrderedProcess<WarmerOrders>[];
  readonly readers: readonly OrderedProcess<ReaderOrders>[];
};

const SEEDED_USERS = 20_500;
/** More than the largest run takes. */
const ORDER_TIMEOUT_MS = 240_000;

export async function withWarmingBench<T>(
  readers: number,
  report: (step: string) => void,
  work: (bench: WarmingBench) => Promise<T>,
  warmers = 1,
): Promise<T> {
  const servers = await startDeployServers(SEEDED_USERS, report);
  try {
    const urls = { redisUrl: servers.redisUrl, databaseUrl: await servers.makeDatabase('warming') };
    return await withProcesses(servers, urls, { readers, warmers }, work);
  } finally {
    await servers.stop();
  }
}

async function withProcesses<T>(
  servers: DeployServers,
  urls: Servers,
  counts: { readonly readers: number; readonly warmers: number },
  work: (bench: WarmingBench) => Promise<T>,
): Promise<T> {
  const starts = <Orders extends WarmerOrders | ReaderOrders>(name: 'warmer' | 'reader', count: number) =>
    openFew(Array.from({ length: count }, () => () => start<Orders>(servers, name, urls)));
  const warmers = await starts<WarmerOrders>('warmer', counts.warmers);
  const readers = await starts<ReaderOrders>('reader', counts.readers);
  const [warmer] = warmers as [OrderedProcess<WarmerOrders>];
  try {
    return await work({ servers, warmer, warmers, readers });
  } finally {
    await Promise.all([...warmers, ...readers].map((each) => each.close()));
  }
}

async function start<Orders extends WarmerOrders | ReaderOrders>(
  { run }: DeployServers,
  name: 'warmer' | 'reader',
  urls: Servers,
): Promise<OrderedProcess<Orders>> {
  const program = fileURLToPath(new URL(`./${name}-process.ts`, import.meta.url));
  const started = new OrderedProcess<WarmerOrders | ReaderOrders>({
    name,
    program,
    orderTimeoutMs: ORDER_TIMEOUT_MS,
  });
  if (started.pid !== undefined) run.watch({ name, pid: started.pid, stopSignal: 'SIGKILL' });
  void started.exited.then(() => run.forget(started.pid ?? 0));
  await started.order('open', urls).catch((error) => {
    started.kill();
    throw error;
  });
  return started as unknown as OrderedProcess<Orders>;
}
