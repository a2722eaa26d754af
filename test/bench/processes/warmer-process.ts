/** A process that warms: as Prewarm does, and as bare drivers would, over the same connections and in the same batches. */
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { openCaches, warmableDatasetsOf } from '../../../shared/caches.ts';
import { datasets } from '../../../shared/datasets/index.ts';
import { users } from '../../../shared/datasets/users.ts';
import { setLogLevel } from '../../../shared/logger.ts';
import { Database, type Statement } from '../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../shared/redis/guarded-redis.ts';
import { addReads } from '../../../shared/warming/popularity.ts';
import type { Trigger, WarmupReport } from '../../../shared/warming/report.ts';
import { warmUp } from '../../../shared/warming/warm-up.ts';
import { keys } from '../../support/keys.ts';
import { offer } from '../../support/programs/offer.ts';
import { waitUntil } from './wait-until.ts';
import { HOT_KEYS } from './warming-sizes.ts';

/** How long it took, and how many statements it sent to Postgres. */
export type Warming = { readonly tookMs: number; readonly statements: number };
/** Memory is the largest of the process, until then. */
export type LargeWarming = Awaited<ReturnType<typeof warmLarge>>;
/** Of a batch: its statement, and what Redis takes. */
export type BatchTimes = { readonly loadMs: number; readonly storeMs: number };
/** `startAtMs` is given to other processes too, in ms since 1970. */
type AtOnce = { readonly count: number; readonly startAtMs: number };

const CONNECTIONS = 2;
const CONNECT_TIMEOUT_MS = 1_000;
const COMMAND_TIMEOUT_MS = 5_000;
const TTL_MS = 3_600_000;
const FLUSHED_TOGETHER = 200;
const KIB_IN_MIB = 1_024;
const LOCK_SECONDS = 30;
/** Of each of its 80 batches, of which two are loaded at a time. */
const SLOW_LOAD_MS = 500;
/** On Lambda nobody waits for the processor on which the warmer runs: here whoever else wants it goes first. */
const LOWEST_PRIORITY = 19;

class CountingDatabase extends Database {
  statements = 0;
  override query<Row extends pg.QueryResultRow>(
    statement: Statement,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    this.statements++;
    return super.query<Row>(statement, values);
  }
}

let database: CountingDatabase;
let redis: GuardedRedis;
let bareRedis: Redis;
let barePool: pg.Pool;
let isStopped = false;

async function open({ redisUrl, databaseUrl }: { redisUrl: string; databaseUrl: string }): Promise<void> {
  setLogLevel('silent');
  setPriority(LOWEST_PRIORITY);
  database = new CountingDatabase(databaseUrl, { connectionsMax: CONNECTIONS, statementTimeoutMs: 900 });
  redis = new GuardedRedis(redisUrl, WARMER_GUARD);
  bareRedis = new Redis(redisUrl, { commandTimeout: COMMAND_TIMEOUT_MS });
  barePool = new pg.Pool({
    connectionString: databaseUrl,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  await redis.connect(CONNECT_TIMEOUT_MS);
}

async function timed(work: () => Promise<number>): Promise<Warming> {
  const beganMs = performance.now();
  const statements = await work();
  return { tookMs: performance.now() - beganMs, statements };
}

function run(
  registered: Parameters<typeof warmableDatasetsOf>[3],
  trigger: Trigger,
  signal = new AbortController().signal,
): Promise<WarmupReport> {
  const caches = openCaches(redis, database, registered ?? datasets);
  return warmUp({
    traceId: crypto.randomUUID(),
    trigger,
    redis,
    connect: () => database.connect(),
    datasets: warmableDatasetsOf(redis, database, caches, registered),
    signal,
    recordMetrics: async () => {},
  });
}

/** A whole warm-up of `count` users, from the lock to its release. */
async function warm(count: number, trigger: Trigger = 'manual'): Promise<number> {
  const before = database.statements;
  const report = await run({ users: { ...users, warmIdsMax: count } }, trigger);
  if (report.warmed !== count) throw new Error(`The warm-up ended: ${JSON.stringify(report)}`);
  return database.statements - before;
}

async function atOnce<T>({ count, startAtMs }: AtOnce, work: () => Promise<T>): Promise<[T, number][]> {
  const one = async (): Promise<[T, number]> => {
    const beganMs = performance.now();
    return [await work(), performance.now() - beganMs];
  };
  await waitUntil(startAtMs - performance.timeOrigin);
  return Promise.all(Array.from({ length: count }, one));
}

/** Warm-ups of all that is registered, started in the same moment. */
async function warmAtOnce(start: AtOnce) {
  // Of the schedule: the others wait for a lock that is taken. And with few users, because it takes its time.
  const registered = { ...datasets, users: { ...users, warmIdsMax: 1_000 } };
  const runs = await atOnce(start, () => run(registered, 'schedule'));
  return runs.map(([{ status }, tookMs]) => ({ status, tookMs }));
}

/** Their first command, and nothing else, by the bare driver; what each took in ms. */
async function setAtOnce({ key, ...start }: AtOnce & { key: string }): Promise<number[]> {
  const sets = await atOnce(start, () => bareRedis.set(key, crypto.randomUUID(), 'EX', LOCK_SECONDS, 'NX'));
  return sets.map(([, tookMs]) => tookMs);
}

/** Small ones, until the table has so many. Nobody searches here. */
async function addRows(rows: number): Promise<void> {
  await barePool.query('DROP INDEX users_by_search_text');
  await barePool.query(
    `INSERT INTO users (id, username, display_name, follower_count)
    SELECT n, 'user' || n, 'User ' || n, 0 FROM generate_series((SELECT max(id) + 1 FROM users), $1) n`,
    [rows],
  );
  await barePool.query('VACUUM (ANALYZE) users');
}

/** Of so many keys, the first ones most. Answers what Redis had to do to know of so many reads. */
async function tellReads(count: number) {
  await bareRedis.config('RESETSTAT');
  for (let from = 0; from < count; from += FLUSHED_TOGETHER) {
    const reads = Array.from({ length: FLUSHED_TOGETHER }, (_, place): [string, number] => [
      String(from + place + 1),
      Math.ceil(Math.sqrt(count / (from + place + 1))),
    ]);
    await addReads(redis, users.name, new Map(reads));
  }
  const stats = await bareRedis.info('commandstats');
  const us = ['evalsha', 'eval'].map((name) =>
    Number(new RegExp(`cmdstat_${name}:calls=\\d+,usec=(\\d+)`).exec(stats)?.[1] ?? 0),
  );
  const bytes = await bareRedis.memory('USAGE', keys.popularity(users.name), 'SAMPLES', 0);
  return {
    usPerFlush: us.reduce((sum, each) => sum + each) / (count / FLUSHED_TOGETHER),
    bytesPerKey: Number(bytes) / count,
  };
}

/** A warm-up of all that was read, unless it is told to end before. */
async function warmLarge({ cutAfterMs }: { cutAfterMs?: number }) {
  const numberIn = async (section: string, field: string) =>
    Number(new RegExp(`${field}:(\\d+)`).exec(await bareRedis.info(section))?.[1]);
  const numbers = async () =>
    Promise.all([numberIn('stats', 'total_commands_processed'), numberIn('memory', 'used_memory')]);
  const [commandsBefore, bytesBefore] = await numbers();
  const beganMs = performance.now();
  const stop = new AbortController();
  const timer = cutAfterMs && setTimeout(() => stop.abort(new Error('told to end')), cutAfterMs);
  const report = await run({ users: { ...users, warmIdsMax: HOT_KEYS } }, 'manual', stop.signal);
  const tookMs = performance.now() - beganMs;
  clearTimeout(timer || undefined);
  const [commands, bytes] = await numbers();
  return {
    tookMs,
    loaded: report.warmed,
    found: report.skipped,
    commands: commands - commandsBefore,
    bytesPerKey: (bytes - bytesBefore) / report.warmed,
    memoryMiB: process.resourceUsage().maxRSS / KIB_IN_MIB,
  };
}

/** What the batches of a run take, of ids that the table has and nobody reads. */
async function timeBatches(batches: number): Promise<readonly BatchTimes[]> {
  const { users: cache } = openCaches(redis, database);
  const { warmBatchSize: size } = users;
  const times: BatchTimes[] = [];
  for (let batch = 0; batch < batches; batch++) {
    const ids = Array.from({ length: size }, (_, place) => HOT_KEYS + batch * size + place + 1);
    const beganMs = performance.now();
    let loadMs = 0;
    await cache.warm(ids, {
      onLoaded: (tookMs) => {
        loadMs = tookMs;
      },
    });
    times.push({ loadMs, storeMs: performance.now() - beganMs - loadMs });
  }
  return times;
}

/** A warm-up that takes a while; answers whether it was aborted. */
async function warmSlowly(): Promise<boolean> {
  const load: typeof users.load = async (source, ids) => {
    await sleep(SLOW_LOAD_MS);
    return users.load(source, ids);
  };
  return (await run({ users: { ...users, load } }, 'manual')).aborted !== undefined;
}

/** The same users by `= ANY` and a pipeline of SET, and nothing else: in the batches of Prewarm, over as many connections. */
async function batched(count: number): Promise<number> {
  const ids = await users.rank(database, count);
  const { warmBatchSize: size } = users;
  const batches = Array.from({ length: Math.ceil(count / size) }, (_, at) =>
    ids.slice(at * size, (at + 1) * size),
  );
  const statements = batches.length + 1;
  const lane = async () => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) await copy(batch);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  return statements;
}

async function copy(ids: readonly number[]): Promise<void> {
  const { rows } = await barePool.query<{ id: string }>('SELECT * FROM users WHERE id = ANY($1)', [ids]);
  const commands = bareRedis.pipeline();
  for (const row of rows) commands.set(`bare:${row.id}`, JSON.stringify(row), 'PX', TTL_MS);
  await commands.exec();
}

/** The same users by one SELECT and one SET each. */
async function oneByOne(count: number): Promise<number> {
  for (const id of await users.rank(database, count)) {
    const { rows } = await barePool.query('SELECT * FROM users WHERE id = $1', [id]);
    await bareRedis.set(`bare:${id}`, JSON.stringify(rows[0]), 'PX', TTL_MS);
  }
  return count + 1;
}

/** Warm-ups without a pause between them, until `stop`; answers how many keys they warmed. */
async function keepWarming({ users: count, trigger }: { users: number; trigger: Trigger }): Promise<number> {
  isStopped = false;
  let runs = 0;
  for (; !isStopped; runs++) await warm(count, trigger);
  return runs * count;
}

const orders = {
  open,
  warm: (count: number) => timed(() => warm(count)),
  batched: (count: number) => timed(() => batched(count)),
  oneByOne: (count: number) => timed(() => oneByOne(count)),
  keepWarming,
  warmAtOnce,
  setAtOnce,
  addRows,
  tellReads,
  warmLarge,
  timeBatches,
  clear: async () => {
    await openCaches(redis, database).users.clear();
  },
  warmSlowly,
  stop: async () => {
    isStopped = true;
  },
  close: async () => {
    redis.close();
    bareRedis.disconnect();
    await Promise.all([database.close(), barePool.end()]);
  },
};
export type WarmerOrders = typeof orders;

offer(orders);
