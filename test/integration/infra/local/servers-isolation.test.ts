/** What test files rely on: databases that nobody else touches, and a Redis that can be frozen, killed and brought back. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isolatedServers, startOwnRedis } from '../../../support/servers.ts';

const SILENCE_MS = 200;

function connect(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null });
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  return redis;
}

async function countUsers(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client
    .query<{ count: string }>('SELECT count(*) FROM users')
    .finally(() => client.end());
  return Number(rows[0]?.count);
}

describe('isolatedServers', () => {
  it('gives every caller databases of its own, seeded or empty', async () => {
    const [one, other] = await Promise.all([isolatedServers(), isolatedServers({ seeded: false })]);
    expect(one.redisUrl).not.toBe(other.redisUrl);
    expect(await Promise.all([countUsers(one.databaseUrl), countUsers(other.databaseUrl)])).toEqual([
      20_500, 0,
    ]);
    await connect(one.redisUrl).set('key', 'one');
    expect(await connect(other.redisUrl).get('key')).toBeNull();
    await Promise.all([one.dispose(), other.dispose()]);
  });

  it('leaves neither database behind', async () => {
    const servers = await isolatedServers({ seeded: false });
    const redis = connect(servers.redisUrl);
    await redis.set('key', 'value');
    await servers.dispose();
    expect(await redis.dbsize()).toBe(0);
    await expect(countUsers(servers.databaseUrl)).rejects.toThrow(/does not exist/);
  });
});

describe('startOwnRedis', () => {
  it('answers nothing while it is frozen, and again when it is thawed', async () => {
    const own = await startOwnRedis();
    onTestFinished(() => own.stop());
    const redis = connect(own.url);
    expect(await redis.ping()).toBe('PONG');
    own.freeze();
    const answered = redis.ping();
    expect(await Promise.race([answered, delay(SILENCE_MS, 'silence')])).toBe('silence');
    own.thaw();
    expect(await answered).toBe('PONG');
  });

  it('refuses connections after it was stopped, and comes back on its port', async () => {
    const own = await startOwnRedis();
    own.freeze();
    await own.stop();
    await expect(connect(own.url).ping()).rejects.toThrow();
    const back = await startOwnRedis({ port: own.port });
    onTestFinished(() => back.stop());
    expect(back.url).toBe(own.url);
    expect(await connect(back.url).ping()).toBe('PONG');
  });
});
