/** Whether a container's memory stays what it is, however many different keys go through it. */

import { fileURLToPath } from 'node:url';
import { runCommand } from '../../../infra/local/processes/command.ts';
import type { HeapReport } from '../processes/memory-process.ts';
import type { CaseResult } from '../report/table.ts';
import { startBenchRedis } from '../servers.ts';

const PROCESS = fileURLToPath(new URL('../processes/memory-process.ts', import.meta.url));
const TIMEOUT_MS = 240_000;
const REDIS_MEMORY = '64mb';
const BYTES_PER_MB = 1_000_000;
const GROWTH_MAX_PERCENT = 10;

export async function runMemory(): Promise<CaseResult> {
  const redis = await startBenchRedis();
  try {
    await redis.admin.config('SET', 'maxmemory', REDIS_MEMORY);
    await redis.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    return describe(await measureHeap(redis.nextDatabaseUrl()));
  } finally {
    await redis.stop();
  }
}

async function measureHeap(redisUrl: string): Promise<HeapReport> {
  const args = ['--no-warnings', '--expose-gc', PROCESS, redisUrl];
  return JSON.parse(await runCommand(process.execPath, args, { timeoutMs: TIMEOUT_MS })) as HeapReport;
}

function describe(heap: HeapReport): CaseResult {
  const growthPercent = (heap.endBytes / heap.fullBytes - 1) * 100;
  return {
    title: 'Memory after 1,000,000 keys',
    how: `Distinct keys through a memory of 1,000 entries, the whole read path: nine of ten in batches, one alone; a source in the process, a Redis of ${REDIS_MEMORY} that evicts. Heap after garbage collection.`,
    columns: ['heap MB'],
    rows: [
      ['connected, memory layer empty', megabytes(heap.emptyBytes)],
      ['memory layer full, after 100,000 keys', megabytes(heap.fullBytes)],
      ['after 1,000,000 more', megabytes(heap.endBytes)],
    ],
    verdicts: [{ what: 'Growth of the heap', value: growthPercent, unit: '%', atMost: GROWTH_MAX_PERCENT }],
    raw: heap,
  };
}

function megabytes(bytes: number): string {
  return (bytes / BYTES_PER_MB).toFixed(2);
}
