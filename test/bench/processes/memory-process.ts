/** Reads a million keys through one Prewarm cache and writes, as JSON, what its heap holds before and after. Runs with --expose-gc. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Contestant, LIMITED_CONNECTION, type Setup } from '../contestants/contestant.ts';
import { open } from '../contestants/prewarm.ts';

export type HeapReport = {
  /** Heap in use after garbage collection, in bytes: with an empty memory layer, with a full one, and at the end. */
  readonly emptyBytes: number;
  readonly fullBytes: number;
  readonly endBytes: number;
  readonly residentEndBytes: number;
  readonly loads: number;
  readonly tookMs: number;
};

const KEYS = 1_000_000;
/** Compiled code, buffers and the pool of the connection are there by then, and the memory layer is full. */
const WARM_UP_KEYS = 100_000;
/** One in ten is read alone, which takes other ways than a batch. */
const BATCH = 180;
const ALONE = 20;
const MEMORY_ENTRIES_MAX = 1_000;
/** Makes values as long as those of the other cases. */
const BIO_LENGTH = 530;

let loads = 0;
let nextKey = 1;

const setup: Setup = {
  redisUrl: process.argv[2] ?? '',
  connection: LIMITED_CONNECTION,
  layer: 'l2',
  variant: undefined,
  memoryEntriesMax: MEMORY_ENTRIES_MAX,
  memoryMs: 60_000,
  redisMs: 60_000,
  // Not the sample users, which would be most of this heap.
  load: async (id) => {
    loads++;
    return { id, bio: 'x'.repeat(BIO_LENGTH) };
  },
};

async function readKeys(contestant: Contestant, count: number): Promise<void> {
  for (const end = nextKey + count; nextKey < end; ) {
    await contestant.getMany?.(takeKeys(BATCH));
    await Promise.all(takeKeys(ALONE).map((id) => contestant.get?.(id)));
  }
}

function takeKeys(count: number): string[] {
  return Array.from({ length: count }, () => String(nextKey++));
}

async function heapBytes(): Promise<number> {
  await sleep(300); // what was under way has ended
  for (let times = 0; times < 4; times++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const contestant = await open(setup);
const emptyBytes = await heapBytes();
await readKeys(contestant, WARM_UP_KEYS);
const fullBytes = await heapBytes();
const beganMs = performance.now();
await readKeys(contestant, KEYS);
const tookMs = performance.now() - beganMs;
const endBytes = await heapBytes();
const report: HeapReport = {
  emptyBytes,
  fullBytes,
  endBytes,
  residentEndBytes: process.memoryUsage().rss,
  loads,
  tookMs,
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
