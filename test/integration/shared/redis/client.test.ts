/** A client that bounds its own commands: what becomes of a connection that leads nowhere, though nobody closed it. */
import { expect, it, onTestFinished } from 'vitest';
import { createRedis, untilReady } from '../../../../shared/redis/client.ts';
import { openRoad } from '../../../support/breakable-road.ts';
import { type OwnCluster, startOwnCluster } from '../../../support/own-cluster.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';

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

it.each([
  ['one server', (servers: IsolatedServers) => servers.redisUrl],
  ['a cluster', async () => (await startedCluster()).url],
])('%s that refuses the password says so, and nothing listens for it any more', async (_, urlOf) => {
  const servers = await isolatedServers({ seeded: false });
  onTestFinished(() => servers.dispose());
  const redis = createRedis((await urlOf(servers)).replace('//', '//nobody:wrong@'), 1_000);
  onTestFinished(() => redis.disconnect());
  const listening = () => ['ready', 'close', 'error'].map((event) => redis.listenerCount(event));
  const before = listening();
  await expect(untilReady(redis, 3_000)).rejects.toMatchObject({
    message: 'Redis refused the connection.',
    cause: { message: expect.stringContaining('WRONGPASS') },
  });
  expect(listening()).toEqual(before);
});

async function startedCluster(): Promise<OwnCluster> {
  const cluster = await startOwnCluster();
  onTestFinished(() => cluster.stop());
  return cluster;
}
