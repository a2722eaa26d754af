/** A process that reads as people do, at a fixed rate: most of it from the caches, some of it from Postgres. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { createRandom } from '../../../infra/local/sample-users/seed-users.ts';
import { type Caches, openCaches } from '../../../shared/caches.ts';
import { setLogLevel } from '../../../shared/logger.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';
import { hydrate } from '../../../shared/warming/hydration.ts';
import { offer } from '../../support/programs/offer.ts';
import { waitUntil } from './wait-until.ts';
import { USERS_WARMED } from './warming-sizes.ts';

const CONNECT_TIMEOUT_MS = 1_000;
/** Ids that nobody has: each is asked of Postgres. More than one in a hundred, so that the p99 is theirs. */
const LOADED_SHARE = 0.03;
const READS_APART_MS = 10;
const NO_USER_FROM = 1_000_000_000;

let database: Database;
let redis: GuardedRedis;
let caches: Caches;
let lastUnknownId = NO_USER_FROM + process.pid * 1_000_000;

/** At a fixed rate. */
type Reads = {
  readonly count: number;
  readonly apartMs: number;
  readonly seed: number;
  /** @default 0.03 */
  readonly loadedShare?: number;
};

const orders = {
  async open({ redisUrl, databaseUrl }: { redisUrl: string; databaseUrl: string }) {
    setLogLevel('silent');
    database = new Database(databaseUrl);
    redis = new GuardedRedis(redisUrl, REQUEST_GUARD);
    caches = openCaches(redis, database);
    await Promise.all([redis.connect(CONNECT_TIMEOUT_MS), database.connect()]);
  },
  /** Answers what each took, counted from when it was due. */
  async read({ count, apartMs, seed, loadedShare = LOADED_SHARE }: Reads) {
    const random = createRandom(seed);
    const latenciesMs: number[] = [];
    for (let dueMs = performance.now(); latenciesMs.length < count; dueMs += apartMs) {
      const id = random() < loadedShare ? ++lastUnknownId : Math.ceil(random() * USERS_WARMED);
      await waitUntil(dueMs);
      if (caches.users.probe(id) === undefined) await caches.users.get(id);
      latenciesMs.push(performance.now() - dueMs);
    }
    return latenciesMs;
  },
  /** Fills the memory of caches as a new container does. */
  hydrate: () => hydrate(redis, Object.values(caches)),
  /** Reads a user over and over until it is another one; answers when the old one was answered last. */
  async watch(id: number) {
    const { json: old } = await caches.users.get(id);
    for (let oldAtMs = Date.now(); ; oldAtMs = Date.now()) {
      const { json } = caches.users.probe(id) ?? (await caches.users.get(id));
      if (json !== old) return oldAtMs;
      await nextTurn();
    }
  },
  /** Changes a user, and has the caches forget it; answers when that was done. */
  async change({ id, by }: { id: number; by: 'clear' | 'invalidate' }) {
    await database.query('UPDATE users SET follower_count = follower_count + 1 WHERE id = $1', [id]);
    if (by === 'clear') await caches.users.clear();
    else await caches.users.invalidate([id], await database.nowUs());
    return Date.now();
  },
  /** Reads one user after the other until one comes from Redis; answers when. */
  async untilRedis(fromId: number) {
    for (let id = fromId; (await caches.users.get(id)).layer !== 'l2'; id++) await sleep(READS_APART_MS);
    return Date.now();
  },
  async close() {
    redis.close();
    await database.close();
  },
};
export type ReaderOrders = typeof orders;

offer(orders);
