/** What a test file asks for: a Redis database and a PostgreSQL database that nobody else touches, until its end. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import { inject } from 'vitest';
import { closedAtEnd } from './at-end.ts';
import './global-setup.ts'; // the type of what it provides
import { administer, type TestServers, withDatabase } from './test-servers.ts';

export { type OwnRedis, startOwnRedis } from './own-processes.ts';

export type IsolatedServers = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly pushgatewayUrl: string;
  /** Drops the database and empties the Redis database, as the end of the test or the file does. Can be called twice. */
  dispose(): Promise<void>;
};

const COUNTER = 'prewarm-test:next-database';
const CLAIM_TTL_S = 3_600;

/** The Pushgateway is shared: use a group (a `job`) of your own. `seeded: false` gives empty tables. */
export async function isolatedServers(options: { seeded?: boolean } = {}): Promise<IsolatedServers> {
  const servers = inject('servers');
  const template = options.seeded === false ? servers.templates.migrated : servers.templates.seeded;
  const [redis, database] = await Promise.all([
    claimRedisDatabase(servers.redisUrl),
    createDatabase(servers, template),
  ]);
  let disposed: Promise<unknown> | undefined;
  return closedAtEnd({
    redisUrl: redis.url,
    databaseUrl: database.url,
    pushgatewayUrl: servers.pushgatewayUrl,
    async dispose() {
      disposed ??= Promise.all([redis.release(), database.drop()]); // once: another file may have the database by then
      await disposed;
    },
  });
}

/** A connection of the test's own, until its end. */
export async function connectPg(databaseUrl: string): Promise<pg.Client> {
  const client = closedAtEnd(new pg.Client({ connectionString: databaseUrl }));
  await client.connect();
  return client;
}

type ClaimedRedis = { readonly url: string; release(): Promise<void> };

/**
 * A counter in database 0 says where to look next, a key with a TTL there says whose a number is: so test files, and test
 * runs that share a Redis of 16 databases, never get the same one.
 */
async function claimRedisDatabase(redisUrl: string): Promise<ClaimedRedis> {
  return withRedis(redisUrl, async (redis) => {
    const databases = await countDatabases(redis);
    for (let tries = 1; tries < databases; tries++) {
      const number = 1 + ((await redis.incr(COUNTER)) % (databases - 1));
      const claim = `prewarm-test:database:${number}`;
      if ((await redis.set(claim, process.pid, 'EX', CLAIM_TTL_S, 'NX')) !== 'OK') continue;
      const opened = await openRedisDatabase(redisUrl, number, claim);
      if (opened !== undefined) return opened;
    }
    throw new Error(`None of the ${databases - 1} logical databases of this Redis is empty and free.`);
  });
}

/** Undefined when something is in it: with REDIS_URL that may be somebody's data, which is not ours to empty. */
async function openRedisDatabase(
  redisUrl: string,
  number: number,
  claim: string,
): Promise<ClaimedRedis | undefined> {
  const url = withDatabase(redisUrl, String(number));
  const giveBack = () => withRedis(redisUrl, (redis) => redis.del(claim));
  if ((await withRedis(url, (redis) => redis.dbsize())) > 0) {
    await giveBack();
    return undefined;
  }
  return {
    url,
    async release() {
      await withRedis(url, (redis) => redis.flushdb());
      await giveBack();
    },
  };
}

async function countDatabases(redis: Redis): Promise<number> {
  const answer = (await redis.config('GET', 'databases')) as string[];
  return Number(answer[1] ?? 16);
}

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, connectTimeout: 3_000 });
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

async function createDatabase(
  servers: TestServers,
  template: string,
): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `prewarm_test_${servers.runId}_${randomBytes(6).toString('hex')}`;
  await administer(servers.adminDatabaseUrl, (client) =>
    client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`),
  );
  return {
    url: withDatabase(servers.adminDatabaseUrl, name),
    drop: () =>
      administer(servers.adminDatabaseUrl, (client) =>
        client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
      ),
  };
}
