/** What a test of warmers happens in: a Redis and a PostgreSQL with few users, a warmer whose way to both can be disturbed, and others. */
import { Redis } from 'ioredis';
import type pg from 'pg';
import { decodeEntry } from '../../shared/cache/entry.ts';
import { userSearch } from '../../shared/datasets/user-search.ts';
import { users } from '../../shared/datasets/users.ts';
import type { WarmupReport } from '../../shared/warming/report.ts';
import { closedAtEnd } from './at-end.ts';
import { keys } from './keys.ts';
import { startWarmer, type Warmer } from './programs/start.ts';
import { connectPg, isolatedServers } from './servers.ts';
import { openSlowProxy, type SlowProxy } from './slow-proxy.ts';

/** Five batches. */
export const USERS = 1_250;
/** Two batches. */
const SEARCHES = 12;
/** All that a warm-up plans. */
export const PLANNED = USERS + SEARCHES;

/** The name of the statement that loads users. */
export const USERS_LOAD = 'load users';
/** In the command that stores users, and in no other one of a warm-up. */
export const USERS_STORE = 'prewarm:entry:users';

/** User 1 is followed most, user 2 next, and so on. The names are what is searched for. */
const FILL = `
INSERT INTO users (id, username, display_name, follower_count)
SELECT n, 'user-' || n, chr(96 + n % ${SEARCHES} + 1) || 'name ' || n, 1000000 - n FROM generate_series(1, ${USERS}) AS n`;

type Named = { readonly name: string; readonly schemaVersion: number };

export type World = {
  /** For the test's own look at what is stored. */
  readonly redis: Redis;
  readonly admin: pg.Client;
  readonly redisProxy: SlowProxy;
  readonly databaseProxy: SlowProxy;
  /** Goes through the proxies. */
  readonly first: Warmer;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** One that nothing disturbs. */
  startAnother(): Promise<Warmer>;
  /** What is warm: under the generation that counts, by key, with the time at which it was read, in µs. */
  stored(dataset?: Named): Promise<Map<string, number>>;
  /** How many of both datasets are warm. */
  countStored(): Promise<number>;
  lastReport(): Promise<WarmupReport>;
  /** Ends the warmers, so that they do not go on beside other tests. */
  end(): Promise<void>;
};

export async function openWorld(pushgatewayUrl?: string): Promise<World> {
  const servers = await isolatedServers({ seeded: false });
  const admin = await fill(servers.databaseUrl);
  const redisProxy = await openSlowProxy(servers.redisUrl);
  const databaseProxy = await openSlowProxy(servers.databaseUrl);
  const disturbed = { redisUrl: redisProxy.url, databaseUrl: databaseProxy.url };
  const first = await startWarmer({ ...disturbed, ...(pushgatewayUrl && { pushgatewayUrl }) });
  const others: Warmer[] = [];
  const redis = closedAtEnd(new Redis(servers.redisUrl));
  const stored: World['stored'] = (dataset = users) => readStored(redis, dataset);
  return {
    redis,
    admin,
    redisProxy,
    databaseProxy,
    first,
    redisUrl: servers.redisUrl,
    databaseUrl: servers.databaseUrl,
    async startAnother() {
      const other = await startWarmer({ redisUrl: servers.redisUrl, databaseUrl: servers.databaseUrl });
      others.push(other);
      return other;
    },
    stored,
    countStored: async () => (await stored()).size + (await stored(userSearch)).size,
    async lastReport() {
      const [text = ''] = await redis.zrevrange(keys.warmupReports, 0, 0);
      return JSON.parse(text) as WarmupReport;
    },
    end: async () => void (await Promise.all([first, ...others].map((warmer) => warmer.kill()))),
  };
}

async function fill(databaseUrl: string): Promise<pg.Client> {
  const admin = await connectPg(databaseUrl);
  await admin.query(FILL);
  await admin.query('ANALYZE users');
  return admin;
}

async function readStored(redis: Redis, { name, schemaVersion }: Named): Promise<Map<string, number>> {
  const generation = (await redis.get(keys.generation(name))) ?? '0';
  const prefix = keys.entry(name, schemaVersion, generation, '');
  const entryKeys = await redis.keys(`${prefix}*`);
  const texts = entryKeys.length === 0 ? [] : await redis.mget(entryKeys);
  const entries = entryKeys.map((key, place) => [key.slice(prefix.length), texts[place]] as const);
  return new Map(
    entries.flatMap(([key, text]) => {
      const entry = decodeEntry(text ?? '');
      return entry?.kind === 'value' ? [[key, entry.readAtUs]] : [];
    }),
  );
}
