/** What a cold start pays for code: the import of the reading function's bundle, against the bare libraries' and the peers'. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../../infra/local/processes/command.ts';
import { type Bundle, buildBundle } from '../bundles/build-bundle.ts';
import { PEERS, PREWARM } from '../contestants/index.ts';
import { PEERS_DIR } from '../peers.ts';
import { milliseconds, times } from '../report/format.ts';
import { type BenchRedis, ownFolder } from '../servers.ts';
import { pairedRatio, spreadOf } from '../statistics.ts';
import type { CaseResult } from './case-result.ts';

const ROUNDS = 21;
const IMPORT_TIMEOUT_MS = 10_000;
const TIMER = fileURLToPath(new URL('../processes/import-timer.mjs', import.meta.url));

const FLOOR = 'ioredis + lru-cache';
const FLOOR_CONNECTED = 'ioredis + lru-cache, connected';
const ENTRIES: Readonly<Record<string, string>> = {
  [FLOOR]: fileURLToPath(new URL('../bundles/ioredis-and-lru-cache.ts', import.meta.url)),
  [FLOOR_CONNECTED]: fileURLToPath(new URL('../bundles/connected.ts', import.meta.url)),
  [PREWARM]: fileURLToPath(new URL('../../../functions/read/handler.ts', import.meta.url)),
  ...Object.fromEntries(PEERS.map((peer) => [peer, join(PEERS_DIR, 'bundles', `${peer}.mjs`)])),
};

type Imported = Bundle & { readonly name: string; readonly samplesMs: number[] };

export async function runColdImport(redis: BenchRedis): Promise<CaseResult> {
  // Below the checkout, so that what the bundles leave out is found where the functions' tests find it.
  const outDir = ownFolder('bundles');
  try {
    const bundles = Object.entries(ENTRIES).map(([name, entry]) => bundle(name, entry, outDir));
    for (let round = 0; round <= ROUNDS; round++) await importAll(bundles, round, redis);
    return describe(bundles);
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

function bundle(name: string, entry: string, outDir: string): Imported {
  return { name, ...buildBundle(entry, join(outDir, name.replaceAll(/\W+/g, '-'))), samplesMs: [] };
}

/** One after the other, beginning with another one each round. The first round only fills the file system's cache. */
async function importAll(bundles: readonly Imported[], round: number, redis: BenchRedis): Promise<void> {
  for (const offset of bundles.keys()) {
    const { path, samplesMs } = bundles[(round + offset) % bundles.length] as Imported;
    const tookMs = await importOnce(path, redis);
    if (round > 0) samplesMs.push(tookMs);
  }
}

async function importOnce(path: string, redis: BenchRedis): Promise<number> {
  const env = {
    PATH: process.env['PATH'],
    REDIS_URL: redis.url,
    // Nothing connects to it at import.
    DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none',
    LOG_LEVEL: 'silent',
  };
  return Number(await runCommand(process.execPath, [TIMER, path], { env, timeoutMs: IMPORT_TIMEOUT_MS }));
}

function describe(bundles: readonly Imported[]): CaseResult {
  const samplesOf = (name: string) => bundles.find((each) => each.name === name)?.samplesMs ?? [];
  const ratioOf = (name: string) => pairedRatio(samplesOf(name), samplesOf(FLOOR));
  return {
    title: 'Cold import',
    how: `A new Node process for each import of a bundle, ${ROUNDS} interleaved rounds; Node's own start is not counted. All bundles are built with the product's options. Prewarm is the whole reading function: routes, validation, metrics, Postgres and Redis clients; its import ends when Redis is connected, which the floor's second line shows alone.`,
    columns: ['median ms', 'p10–p90', `to ${FLOOR}`, 'bundle KB'],
    rows: bundles.map(({ name, bytes, samplesMs }) => {
      const { median, p10, p90 } = spreadOf(samplesMs);
      return [
        name,
        milliseconds(median),
        `${milliseconds(p10)}–${milliseconds(p90)}`,
        times(ratioOf(name)),
        (bytes / 1_000).toFixed(0),
      ];
    }),
    verdicts: [{ what: `Prewarm to ${FLOOR}`, value: ratioOf(PREWARM), unit: '×', atMost: 1.5, aim: 1.2 }],
    raw: { unit: 'ms', samples: Object.fromEntries(bundles.map(({ name, samplesMs }) => [name, samplesMs])) },
  };
}
