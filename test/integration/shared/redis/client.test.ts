/** A client that bounds its own commands: what becomes of a connection that leads nowhere, though nobody closed it. */
import { expect, it, onTestFinished } from 'vitest';
import { createRedis, untilReady } from '../../../../shared/redis/client.ts';
import { openRoad } from '../../../support/breakable-road.ts';
import { createAuthority } from '../../../support/certificates.ts';
import { isolatedServers } from '../../../support/servers.ts';
import { startTlsCluster, startTlsRedis } from '../../../support/tls-servers.ts';

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
  ['one server', startTlsRedis],
  ['a cluster', startTlsCluster],
])('%s that refuses says why, and nothing listens for it any more', async (_, start) => {
  const certificate = createAuthority('Nobody trusts it').issue('localhost');
  const server = await start(certificate, 'the right password');
  onTestFinished(() => server.stop());
  const redis = createRedis(server.url.replace('the%20right%20password', 'wrong'), 1_000);
  onTestFinished(() => redis.disconnect());
  const listening = () => ['ready', 'close', 'error'].map((event) => redis.listenerCount(event));
  const before = listening();

  await expect(untilReady(redis, 3_000)).rejects.toMatchObject({
    message: 'Redis refused the connection.',
    cause: { message: expect.stringMatching(/self-signed|unable to verify|Connection is closed/) },
  });

  expect(listening()).toEqual(before);
});
