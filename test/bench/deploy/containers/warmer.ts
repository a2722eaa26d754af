/** Runs a warm-up as the product does: the warmer's handler, in a process that is started for it. */
import { fileURLToPath } from 'node:url';
import type { Run } from '../../../../infra/local/processes/run.ts';
import type { Trigger, WarmupReport } from '../../../../shared/warming/report.ts';
import { OrderedProcess } from '../../processes/ordered-process.ts';
import { watch } from './fleet.ts';
import type { WarmerOrders } from './orders.ts';

const PROGRAM = fileURLToPath(new URL('./warmer-process.ts', import.meta.url));
const WARMUP_TIMEOUT_MS = 75_000;

export type WarmUp = {
  readonly report: WarmupReport;
  /** Sent to Postgres. */
  readonly statements: number;
  /** With the start of the process. */
  readonly tookMs: number;
};

type WarmerServers = { readonly redisUrl: string; readonly databaseUrl: string };

/** Throws when the warm-up did not do all that it planned: figures after it would be of something else. */
export async function runWarmUp(run: Run, servers: WarmerServers, trigger: Trigger): Promise<WarmUp> {
  const beganMs = performance.now();
  const warmer = startWarmer(run, servers);
  try {
    const result = await warmer.order('warm', trigger);
    if (result.report.status !== 'success')
      throw new Error(`The warm-up (${trigger}) ended: ${JSON.stringify(result.report)}`);
    return { ...result, tookMs: performance.now() - beganMs };
  } finally {
    await warmer.end();
  }
}

function startWarmer(run: Run, { redisUrl, databaseUrl }: WarmerServers): OrderedProcess<WarmerOrders> {
  const warmer = new OrderedProcess<WarmerOrders>({
    name: 'warmer',
    program: PROGRAM,
    orderTimeoutMs: WARMUP_TIMEOUT_MS,
    env: {
      ...process.env,
      REDIS_URL: redisUrl,
      DATABASE_URL: databaseUrl,
      LOG_LEVEL: 'silent',
      PUSHGATEWAY_URL: '',
    },
  });
  watch(run, warmer);
  return warmer;
}
