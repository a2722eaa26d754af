/** A client that bounds its own commands: what becomes of a connection that leads nowhere, though nobody closed it. */
import { expect, it } from 'vitest';
import { createRedis, untilReady } from '../../../../shared/redis/client.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { isolatedServers } from '../../../support/servers.ts';
import { openSlowProxy } from '../../../support/slow-proxy.ts';

it('a connection that leads nowhere is replaced after three seconds of silence', async () => {
  const servers = await isolatedServers({ seeded: false });
  const road = await openSlowProxy(servers.redisUrl);
  const redis = closedAtEnd(createRedis(road.url, 1_000));
  await untilReady(redis, 60_000);
  expect(redis.options).toMatchObject({ socketTimeout: 3_000 });
  road.loseConnections();
  await expect(redis.ping()).rejects.toThrow('Command timed out');
  const ping = () => redis.ping().catch(() => 'not yet');
  await expect.poll(ping, { interval: 100 }).toBe('PONG');
});

it('a server that refuses the password says so, and nothing listens for it any more', async () => {
  const servers = await isolatedServers({ seeded: false });
  const redis = closedAtEnd(createRedis(servers.redisUrl.replace('//', '//nobody:wrong@'), 10_000));
  const listening = () => ['ready', 'close', 'error'].map((event) => redis.listenerCount(event));
  const before = listening();
  await expect(untilReady(redis, 60_000)).rejects.toMatchObject({
    message: 'Redis refused the connection.',
    cause: { message: expect.stringContaining('WRONGPASS') },
  });
  expect(listening()).toEqual(before);
});
