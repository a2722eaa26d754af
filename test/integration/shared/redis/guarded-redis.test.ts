/** A Redis that is frozen, gone or full is waited for once, and used again when it is back. */
import { beforeEach, describe, expect, it } from 'vitest';
import { RedisUnavailableError } from '../../../../shared/errors.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { countOutcomes } from '../../../support/redis-outcomes.ts';
import { type OwnRedis, startOwnRedis } from '../../../support/servers.ts';
import { openSlowProxy } from '../../../support/slow-proxy.ts';

/** Patient, so that a busy machine does not make a Redis look away that is well. */
const GUARD = { ...REQUEST_GUARD, timeoutMs: 1_000 };

const LONGER_THAN_ANY_TEST_MS = 3_600_000;

let server: OwnRedis;
let redis: GuardedRedis;

beforeEach(async () => {
  server = await startOwnRedis();
  redis = closedAtEnd(new GuardedRedis(server.url, GUARD));
  await redis.run((client) => client.set('key', 'value'));
});

const get = () => redis.run((client) => client.get('key'));

describe('a guarded Redis', () => {
  it('is waited for once when it is frozen, and refused at once after', async () => {
    const outcomes = countOutcomes(redis);
    server.freeze();
    await expect(get()).rejects.toBeInstanceOf(RedisUnavailableError);
    for (let read = 0; read < 5; read++) await expect(get()).rejects.toBeInstanceOf(RedisUnavailableError);
    expect(outcomes).toMatchObject({ answered: 0, waitedInVain: 1, refusedAtOnce: 5 });
  });

  it('is waited for by a request for a tenth of a second', async () => {
    const request = closedAtEnd(new GuardedRedis(server.url, REQUEST_GUARD));
    await request.connect(60_000);
    server.freeze();
    await expect(request.run((client) => client.get('key'))).rejects.toMatchObject({
      name: 'RedisUnavailableError',
      cause: { message: 'Redis did not answer within 100 ms.' },
    });
  });

  it('is used again after its thaw', async () => {
    server.freeze();
    await expect(get()).rejects.toBeInstanceOf(RedisUnavailableError);
    server.thaw();
    await expect.poll(() => get().catch(() => 'not yet'), { interval: 50 }).toBe('value');
  });

  it('is used again after it was killed and came back on its port', async () => {
    await server.stop();
    await expect(get()).rejects.toBeInstanceOf(RedisUnavailableError);
    server = await startOwnRedis({ port: server.port });
    await expect.poll(() => get().catch(() => 'not yet'), { interval: 50 }).toBeNull();
  });

  it('that nobody hears from is connected to anew, and used again', async () => {
    const road = await openSlowProxy(server.url);
    const guarded = closedAtEnd(new GuardedRedis(road.url, GUARD));
    await guarded.connect(60_000);
    road.loseConnections();
    const read = () => guarded.run((client) => client.get('key'));
    await expect(read()).rejects.toBeInstanceOf(RedisUnavailableError);
    await expect.poll(() => read().catch(() => 'not yet'), { interval: 50 }).toBe('value');
  });

  it('that is full refuses writes, and is read from all the same', async () => {
    await redis.run((client) => client.config('SET', 'maxmemory', '1'));
    await expect(redis.run((client) => client.set('key', 'more'))).rejects.toMatchObject({
      name: 'RedisFullError',
      cause: { message: expect.stringContaining('OOM') },
    });
    expect(await get()).toBe('value');
  });

  it('that became a replica is left for the one that the address leads to now', async () => {
    const primary = await startOwnRedis();
    const write = () => redis.run((client) => client.set('key', 'written'));
    await redis.run((client) => client.replicaof('127.0.0.1', primary.port));
    await expect(write()).rejects.toMatchObject({ cause: { message: expect.stringMatching(/^READONLY/) } });
    // The address leads to a primary again, which only a new connection sees.
    const other = closedAtEnd(new GuardedRedis(server.url, GUARD));
    await other.run((client) => client.replicaof('NO', 'ONE'));
    const clients = () => other.run(async (client) => (await client.client('LIST')) as string);
    await expect.poll(() => write().catch(() => 'not yet'), { interval: 50 }).toBe('OK');
    expect(await clients()).not.toContain('flags=O');
  });

  it('is not given up for a wrong command', async () => {
    await expect(redis.run((client) => client.lpush('key', 'x'))).rejects.toThrow('WRONGTYPE');
    expect(await get()).toBe('value');
  });

  it('is not given up for a command that no module has defined', async () => {
    const send = () => redis.run((client) => (client as unknown as { none(): Promise<void> }).none());
    await expect(send()).rejects.toBeInstanceOf(TypeError);
    expect(await get()).toBe('value');
  });

  it('is not given up for a command that its user may not send', async () => {
    await redis.run((client) => client.acl('SETUSER', 'default', '-info'));
    await expect(redis.run((client) => client.info('memory'))).rejects.toThrow('NOPERM');
    expect(await get()).toBe('value');
  });

  it('that refuses connections is known to be away before the first request, long before a connection is given up', async () => {
    const nobody = closedAtEnd(new GuardedRedis('redis://127.0.0.1:1', REQUEST_GUARD));
    await nobody.connect(LONGER_THAN_ANY_TEST_MS);
    await expect(nobody.run((client) => client.ping())).rejects.toThrow('Redis is known not to answer.');
  });

  it('tells of the failure of any command in a batch', async () => {
    await expect(
      redis.batch(['a', 'key'], (commands, index) => commands.lpush(['a', 'key'][index] as string, 'x')),
    ).rejects.toThrow('WRONGTYPE');
  });
});
