/** The functions' user of Redis: what it is refused, and that it may do all that the functions do. */
import { Redis } from 'ioredis';
import { beforeAll, describe, expect, it } from 'vitest';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { readEvictedKeys, readMemoryUsageBytes } from '../../../../shared/redis/memory-usage.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { queryOnce } from '../../../support/own-servers.ts';
import { startAdmin, startReadFunction, startWarmer } from '../../../support/programs/start.ts';
import {
  type IsolatedServers,
  isolatedServers,
  type OwnRedis,
  startOwnRedis,
} from '../../../support/servers.ts';

let own: OwnRedis;
let redis: Redis;

beforeAll(async () => {
  own = await startOwnRedis({ openTo: 'functions', args: ['--enable-debug-command', 'yes'] });
  redis = closedAtEnd(new Redis(own.url));
  await redis.set('prewarm:mine', 'mine');
});

describe('the functions’ user of Redis', () => {
  it.each([
    ['FLUSHALL'],
    ['FLUSHDB'],
    ['SWAPDB', '0', '1'],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['RANDOMKEY'],
    ['CONFIG', 'GET', 'maxmemory'],
    ['CONFIG', 'SET', 'maxmemory', '0'],
    ['ACL', 'LIST'],
    ['ACL', 'SETUSER', 'prewarm', '~*'],
    ['MODULE', 'LIST'],
    ['DEBUG', 'SLEEP', '0'],
    ['SAVE'],
    ['BGSAVE'],
    ['SHUTDOWN', 'NOSAVE'],
    ['REPLICAOF', 'NO', 'ONE'],
    ['FAILOVER'],
    ['MONITOR'],
    ['SLOWLOG', 'GET'],
    ['CLIENT', 'LIST'],
    ['CLIENT', 'KILL', 'SKIPME', 'yes'],
    ['CLIENT', 'TRACKING', 'ON', 'BCAST'],
    ['MEMORY', 'STATS'],
    ['MEMORY', 'PURGE'],
    ['CLUSTER', 'RESET'],
    ['MIGRATE', '127.0.0.1', '1', 'prewarm:mine', '0', '1'],
    ['SCRIPT', 'FLUSH'],
    ['FUNCTION', 'FLUSH'],
    ['SUBSCRIBE', 'other'],
    ['PUBLISH', 'other', 'message'],
    ['GET', 'other'],
    ['SET', 'other', 'value'],
    ['DEL', 'other'],
    ['GET', 'cache:warmup:lock:other'],
    ['MGET', 'prewarm:mine', 'other'],
    ['RENAME', 'prewarm:mine', 'other'],
    ['COPY', 'prewarm:mine', 'other'],
    ['EVAL', 'return 1', '1', 'other'],
  ])('is refused %s %s %s', async (...command) => {
    const [name = '', ...args] = command.filter((word) => word !== undefined);
    await expect(redis.call(name, ...args)).rejects.toThrow('NOPERM');
  });

  it.each(["redis.call('GET', 'other')", "redis.call('FLUSHALL')"])(
    'is refused %s in a script',
    async (script) => {
      await expect(redis.eval(script, 0)).rejects.toThrow(
        /The user executing the script can't|ACL failure in script/,
      );
    },
  );

  it('may end a script that holds up everybody', async () => {
    await expect(redis.call('SCRIPT', 'KILL')).rejects.toThrow('NOTBUSY');
  });

  it('is let in by its password only, and nobody else is', async () => {
    const { host } = new URL(own.url);
    for (const credentials of ['', 'prewarm:guessed@', ':guessed@']) {
      const stranger = closedAtEnd(new Redis(`redis://${credentials}${host}`, { retryStrategy: () => null }));
      stranger.on('error', () => {});
      await expect(stranger.ping()).rejects.toThrow();
    }
  });

  it('is told how much memory there is, what was evicted, and which replicas a clear waits for', async () => {
    const guarded = closedAtEnd(new GuardedRedis(own.url, WARMER_GUARD));
    expect(await readMemoryUsageBytes(guarded)).toBeGreaterThan(0);
    expect(await readEvictedKeys(guarded)).toBe(0);
    expect(await redis.role()).toEqual(['master', expect.any(Number), []]);
    expect(await redis.wait(0, 0)).toBe(0);
  });
});

describe('as that user', () => {
  let servers: IsolatedServers;
  beforeAll(async () => {
    servers = await isolatedServers();
  });

  async function leastFollowed(): Promise<number> {
    const [row] = await queryOnce(
      servers.databaseUrl,
      'SELECT id FROM users ORDER BY follower_count, id LIMIT 1',
    );
    return Number((row as { id: string }).id);
  }

  it('a warm-up, reads, an invalidation, a clear, limits and totals are what they are with all rights', async () => {
    const addresses = { redisUrl: own.url, databaseUrl: servers.databaseUrl };
    const warmer = await startWarmer(addresses);
    const { report } = await warmer.call('invoke', 'manual', 'trace');
    expect(report).toMatchObject({ status: 'success', failed: 0 });

    const admin = await startAdmin(addresses);
    const clear = (body: object) => admin.call('ask', 'POST', '/admin/clear', body);
    const cold = await leastFollowed();
    /** Of a container that has never read anything. */
    const layerOf = async (id: number) => {
      const read = await startReadFunction(addresses);
      const { headers } = await read.call('get', {
        resource: '/users/{id}',
        pathParameters: { id: String(id) },
      });
      return headers?.['x-cache'];
    };

    expect([await layerOf(cold), await layerOf(cold)]).toEqual(['miss', 'l2']);
    expect(await clear({ ids: [cold] })).toMatchObject({ statusCode: 200 });
    expect([await layerOf(cold), await layerOf(cold)]).toEqual(['miss', 'l2']);
    expect(await clear({ dataset: 'users' })).toMatchObject({
      statusCode: 200,
      body: { cleared: [{ dataset: 'users', replicas: 0 }, {}] },
    });
    expect(await layerOf(cold)).toBe('miss');
    expect(await clear({})).toMatchObject({ statusCode: 429 });

    expect(await admin.call('ask', 'GET', '/admin/status')).toMatchObject({
      body: {
        redis: { available: true, memoryUsedBytes: expect.any(Number) },
        warmup: { lastReports: [{ traceId: 'trace' }] },
      },
    });
    expect(await redis.hlen(keys.metricTotals)).toBeGreaterThan(0);
    expect(warmer.output()).not.toContain('NOPERM');
  });
});
