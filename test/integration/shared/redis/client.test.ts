/** What the guard cannot know of a connection: that it leads nowhere any more, though nobody closed it. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createRedis, untilReady } from '../../../../shared/redis/client.ts';
import { isolatedServers } from '../../../support/servers.ts';

/** A way to `targetUrl` whose open connections can be made to lead nowhere, while new ones arrive. */
async function openRoad(targetUrl: string): Promise<{ url: string; loseConnections(): void }> {
  const { port, hostname } = new URL(targetUrl);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const url = new URL(targetUrl);
  url.port = String((server.address() as AddressInfo).port);
  const loseConnections = () => {
    for (const socket of sockets) socket.unpipe().removeAllListeners('data').resume();
  };
  return { url: url.href, loseConnections };
}

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
