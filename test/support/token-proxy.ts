/** A TCP proxy before a Redis that lets so much through in a second, as a server does that grows with its load. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const KIB = 1_024;
const REFILL_EVERY_MS = 5;

export type TokenProxy = {
  readonly url: string;
  /**
   * From now on what is sent waits for tokens, of all connections together, in the order in which it came; before, it goes
   * as it comes. A token is a kilobyte, or a piece that is smaller.
   */
  throttle(tokensPerSecond: number): void;
  /** The most that had to go before something that came, in tokens. */
  readonly waitingMax: number;
  close(): Promise<void>;
};

type Piece = { readonly bytes: Buffer; readonly to: Socket; readonly cost: number };

export async function openTokenProxy(targetUrl: string): Promise<TokenProxy> {
  const target = new URL(targetUrl);
  const queue: Piece[] = [];
  const sockets = new Set<Socket>();
  let refilling: NodeJS.Timeout | undefined;
  let tokens = 0;
  let waitingMax = 0;
  const waiting = () => queue.reduce((sum, { cost }) => sum + cost, 0);
  const drain = () => {
    for (let [next] = queue; next !== undefined && (!refilling || tokens > 0); [next] = queue) {
      queue.shift();
      if (refilling) tokens -= next.cost; // what costs more than there is leaves a debt
      if (next.to.writable) next.to.write(next.bytes);
    }
  };
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket.setNoDelay(true).on('error', () => {}));
      socket.on('close', () => sockets.delete(socket) && other.destroy());
    }
    upstream.pipe(client);
    client.on('data', (bytes: Buffer) => {
      waitingMax = Math.max(waitingMax, waiting());
      queue.push({ bytes, to: upstream, cost: costOf(bytes) });
      drain();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(targetUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    throttle(tokensPerSecond) {
      waitingMax = 0;
      const refill = Math.max(1, (tokensPerSecond * REFILL_EVERY_MS) / 1_000);
      refilling = setInterval(() => {
        tokens = Math.min(refill, tokens + refill);
        drain();
      }, REFILL_EVERY_MS);
    },
    get waitingMax() {
      return waitingMax;
    },
    async close() {
      clearInterval(refilling);
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** As ElastiCache Serverless counts: one for each kilobyte that a command brings, and one at least. */
function costOf(bytes: Buffer): number {
  return Math.max(1, bytes.length / KIB);
}
