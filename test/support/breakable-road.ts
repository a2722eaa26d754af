/** A proxy on loopback whose open connections can be made to lead nowhere without being closed, as a network that lost its state does. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** To `targetUrl`, until the test is finished; connections that are opened later arrive. */
export async function openRoad(targetUrl: string): Promise<{ url: string; loseConnections(): void }> {
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
