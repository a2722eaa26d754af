/** Starts what the benchmarks of the warmer need, and ends it. */
import { fileURLToPath } from 'node:url';
import { type DeployServers, startDeployServers } from '../deploy/servers.ts';
import { OrderedProcess } from '../processes/ordered-process.ts';
import type { ReaderOrders, Servers, WarmerOrders } from './orders.ts';

export type WarmingBench = {
  readonly servers: DeployServers;
  readonly warmer: OrderedProcess<WarmerOrders>;
  readonly readers: readonly OrderedProcess<ReaderOrders>[];
};

const SEEDED_USERS = 20_500;
const ORDER_TIMEOUT_MS = 60_000;

export async function withWarmingBench<T>(
  readers: number,
  report: (step: string) => void,
  work: (bench: WarmingBench) => Promise<T>,
): Promise<T> {
  const servers = await startDeployServers(SEEDED_USERS, report);
  try {
    const urls = { redisUrl: servers.redisUrl, databaseUrl: await servers.makeDatabase('warming') };
    return await withProcesses(servers, urls, readers, work);
  } finally {
    await servers.stop();
  }
}

async function withProcesses<T>(
  servers: DeployServers,
  urls: Servers,
  readerCount: number,
  work: (bench: WarmingBench) => Promise<T>,
): Promise<T> {
  const warmer = start<WarmerOrders>(servers, 'warmer');
  const readers = Array.from({ length: readerCount }, () => start<ReaderOrders>(servers, 'reader'));
  try {
    await Promise.all([warmer.order('open', urls), ...readers.map((reader) => reader.order('open', urls))]);
    return await work({ servers, warmer, readers });
  } finally {
    await Promise.all([warmer.close(), ...readers.map((reader) => reader.close())]);
  }
}

function start<Orders extends WarmerOrders | ReaderOrders>(
  { run }: DeployServers,
  name: 'warmer' | 'reader',
): OrderedProcess<Orders> {
  const program = fileURLToPath(new URL(`./${name}-process.ts`, import.meta.url));
  const started = new OrderedProcess<Orders>({ name, program, orderTimeoutMs: ORDER_TIMEOUT_MS });
  if (started.pid !== undefined) run.watch({ name, pid: started.pid, stopSignal: 'SIGKILL' });
  void started.exited.then(() => run.forget(started.pid ?? 0));
  return started;
}
