/** What a cold start pays for code: the import of the reading function's bundle, against the bare libraries' and the peers'. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { bundleOptions } from '../../../infra/constructs/bundled-code.ts';
import { runCommand } from '../../../infra/local/processes/command.ts';
import { PEERS, PREWARM } from '../contestants/index.ts';
import { Failures } from '../failures.ts';
import { SERVER_CPU } from '../processes/cpu-affinity.ts';
import { type CaseResult, milliseconds, times } from '../report/table.ts';
import { ownFolder, startServers } from '../servers.ts';
import { PEERS_DIR } from '../start.ts';
import { pairedRatio, spreadOf } from '../statistics.ts';

const ROUNDS = 21;
const IMPORT_TIMEOUT_MS = 10_000;
const TIMER = fileURLToPath(new URL('../processes/import-timer.mjs', import.meta.url));

const FLOOR = 'ioredis + lru-cache';
const FLOOR_CONNECTED = 'ioredis + pg + lru-cache, connected';
const ENTRIES: Readonly<Record<string, string>> = {
  [FLOOR]: fileURLToPath(new URL('../bundles/ioredis-and-lru-cache.ts', import.meta.url)),
  [FLOOR_CONNECTED]: fileURLToPath(new URL('../bundles/connected.ts', import.meta.url)),
  [PREWARM]: fileURLToPath(new URL('../../../functions/read/handler.ts', import.meta.url)),
  ...Object.fromEntries(PEERS.map((peer) => [peer, join(PEERS_DIR, 'bundles', `${peer}.mjs`)])),
};

/** `ranMs`: until the module had run, or begun to wait; `readyMs`: until its import was done. */
type Imported = {
  readonly name: string;
  readonly path: string;
  readonly ranMs: number[];
  readonly readyMs: number[];
};

export async function runColdImport(): Promise<CaseResult> {
  const servers = await startServers(1);
  // Below the checkout, so that what the bundles leave out is found where the functions' tests find it.
  const outDir = ownFolder('bundles');
  try {
    servers.pinPostgres(SERVER_CPU);
    const urls = { REDIS_URL: servers.url, DATABASE_URL: await servers.makeDatabase('import') };
    const env = { PATH: process.env['PATH'], ...urls, LOG_LEVEL: 'silent' };
    const failures = new Failures((name: string) => PEERS.some((peer) => peer === name));
    const bundles: Imported[] = [];
    for (const [name, entry] of Object.entries(ENTRIES)) {
      const built = await failures.spare(name, async () => bundle(name, entry, outDir));
      if (built !== undefined) bundles.push(built);
    }
    for (let round = 0; round <= ROUNDS; round++) await importAll(bundles, round, failures, env);
    return describe(bundles, failures);
  } finally {
    rmSync(outDir, { recursive: true, force: true });
    await servers.stop();
  }
}

/** As the product's functions are bundled. */
function bundle(name: string, entry: string, outDir: string): Imported {
  const folder = join(outDir, name.replaceAll(/\W+/g, '-'));
  buildSync(bundleOptions(entry, folder));
  return { name, path: join(folder, 'index.mjs'), ranMs: [], readyMs: [] };
}

/** One after the other, beginning with another one each round. The first round only fills the file system's cache. */
async function importAll(
  bundles: readonly Imported[],
  round: number,
  failures: Failures<string>,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  for (const offset of bundles.keys()) {
    const { name, path, ranMs, readyMs } = bundles[(round + offset) % bundles.length] as Imported;
    if (failures.has(name)) continue;
    const [ran, ready] = (await failures.spare(name, () => importOnce(path, env))) ?? [];
    if (round === 0 || ran === undefined || ready === undefined) continue;
    ranMs.push(ran);
    readyMs.push(ready);
  }
}

async function importOnce(path: string, env: NodeJS.ProcessEnv): Promise<number[]> {
  const told = await runCommand(process.execPath, [TIMER, path], { env, timeoutMs: IMPORT_TIMEOUT_MS });
  return told.split(' ').map(Number);
}

function describe(bundles: readonly Imported[], failures: Failures<string>): CaseResult {
  const find = (name: string) => bundles.find((each) => each.name === name) as Imported;
  const ran = pairedRatio(find(PREWARM).ranMs, find(FLOOR).ranMs);
  const ready = pairedRatio(find(PREWARM).readyMs, find(FLOOR_CONNECTED).readyMs);
  return {
    title: 'Cold import',
    how: `A new Node process for each import of a bundle, ${ROUNDS} interleaved rounds; Node's own start is not counted. All bundles are built with the product's options. Prewarm is the whole reading function: routes, validation, metrics, Postgres and Redis clients. A module has run when it is done or begins to wait, as Prewarm does for its connections to Redis and Postgres; it is ready when they are there, which the floor's second line shows alone.`,
    columns: ['run, ms', 'p10–p90', `to ${FLOOR}`, 'ready, ms', `to ${FLOOR_CONNECTED}`],
    rows: Object.keys(ENTRIES).map((name) => failures.row(name, () => cellsOf(find(name), find))),
    verdicts: [
      { what: `Prewarm to ${FLOOR}`, value: ran, unit: '×', atMost: 1.5, aim: 1.2 },
      { what: `Prewarm, ready, to ${FLOOR_CONNECTED}`, value: ready, unit: '×', atMost: 1.25, aim: 1.1 },
    ],
    raw: {
      unit: 'ms',
      samples: Object.fromEntries(bundles.map(({ name, ranMs, readyMs }) => [name, { ranMs, readyMs }])),
    },
  };
}

function cellsOf({ ranMs, readyMs }: Imported, find: (name: string) => Imported): string[] {
  const { median, p10, p90 } = spreadOf(ranMs);
  return [
    milliseconds(median),
    `${milliseconds(p10)}–${milliseconds(p90)}`,
    times(pairedRatio(ranMs, find(FLOOR).ranMs)),
    milliseconds(spreadOf(readyMs).median),
    times(pairedRatio(readyMs, find(FLOOR_CONNECTED).readyMs)),
  ];
}
