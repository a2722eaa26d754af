/** A client that bounds its own commands: what becomes of a connection that leads nowhere, though nobody closed it. */
import { expect, it, onTestFinished } from 'vitest';
import { createRedis, untilReady } from '../../../../shared/redis/client.ts';
import { openRoad } from '../../../support/breakable-road.ts';
import { isolatedServers } from '../../../support/servers.ts';

it('a connection that leads nowhere is replaced after three seconds of silence', async () => {
  const servers = await isolatedServers({ seeded: false });
  onTestFinished(() => servers.dispose());
  const road = await openRoad(servers.redisUrl);
  const redis = createRedis(road.url, 1_000);
  onTestFinished(() => redis.disconnect());
  await untilReady(redis, 60_000);
  expect(redis.options).toMatchObject({ socketTimeout: 3_000 });
  road.loseConnections();
  await expect(redis.ping()).rejects.toThrow('Command timed out');
  const ping = () => redis.ping().catch(() => 'not yet');
  await expect.poll(ping, { interval: 100 }).toBe('PONG');
});

it('a server that refuses the password says so, and nothing listens for it any more', async () => {
  const servers = await isolatedServers({ seeded: false });
  onTestFinished(() => servers.dispose());
  const redis = createRedis(servers.redisUrl.replace('//', '//nobody:wrong@'), 10_000);
  onTestFinished(() => redis.disconnect());
  const listening = () => ['ready', 'close', 'error'].map((event) => redis.listenerCount(event));
  const before = listening();
  await expect(untilReady(redis, 60_000)).rejects.toMatchObject({
    message: 'Redis refused the connection.',
    cause: { message: expect.stringContaining('WRONGPASS') },
  });
  expect(listening()).toEqual(before);
});
