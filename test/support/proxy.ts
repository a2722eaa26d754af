/** A TCP proxy on loopback before a server: what all proxies of the tests have in common. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { atEnd } from './at-end.ts';

export type Proxy = {
  /** The server's URL through the proxy. */
  readonly url: string;
  /** Of both sides. */
  readonly sockets: ReadonlySet<Socket>;
  /** Cuts the connections and refuses new ones. */
  refuse(): Promise<void>;
  /** Takes connections again. */
  listen(): Promise<void>;
};

/** Until the test is finished, or the file whose hook opened it. `join` says what goes from one side to the other. */
export async function openProxy(
  targetUrl: string,
  join: (client: Socket, upstream: Socket) => void,
): Promise<Proxy> {
  const url = new URL(targetUrl);
  const { port: targetPort, hostname } = url;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(targetPort), hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket.setNoDelay(true).on('error', () => {}));
      socket.on('close', () => sockets.delete(socket) && other.destroy());
    }
    join(client, upstream);
  });
  const listen = async (port: number) => {
    if (!server.listening) await once(server.listen(port, '127.0.0.1'), 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  url.host = `127.0.0.1:${port}`;
  const refuse = async () => {
    const closed = server.listening ? once(server, 'close') : undefined;
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  atEnd(refuse);
  return { url: url.href, sockets, refuse, listen: () => listen(port) };
}
