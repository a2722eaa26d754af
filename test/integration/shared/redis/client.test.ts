/** A client that bounds its own commands: what becomes of a connection that leads nowhere, though nobody closed it. */
import { expect, it, onTestFinished } from 'vitest';
import { createRedis, untilReady } from '../../../../shared/redis/client.ts';
import { openRoad } from '../../../support/breakable-road.ts';
import { isolatedServers } from '../../../support/servers.ts';

it('a connection that leads nowhere is replaced after three seconds', async () => {
  const servers = await isolatedServers({ seeded: false });
  onTestFinished(() => servers.dispose());
  const road = await openRoad(servers.redisUrl);
  const redis = createRedis(road.url, 100);
  onTestFinished(() => redis.disconnect());
  await untilReady(redis, 1_000);
  road.loseConnections();
  await expect(redis.ping()).rejects.toThrow('Command timed out');
  const ping = () => redis.ping().catch(() => 'not yet');
  await expect.poll(ping, { timeout: 4_500, interval: 100 }).toBe('PONG');
});
