/** Counts the round trips to a server: what is written before the next answer comes is one. */
import { Socket } from 'node:net';

type Patched = Record<'write' | 'push', (this: Socket, ...chunk: unknown[]) => unknown>;

/** To `port`, by whichever client, while `work` runs, which does one thing at a time. */
export async function countTrips(port: number, work: () => Promise<unknown>): Promise<number> {
  const sockets = Socket.prototype as unknown as Partial<Patched>;
  const { write, push } = sockets as Patched;
  let trips = 0;
  let isAnswered = true;
  sockets.write = function (...chunk) {
    if (this.remotePort === port && isAnswered) {
      trips++;
      isAnswered = false;
    }
    return write.apply(this, chunk);
  };
  sockets.push = function (...chunk) {
    if (this.remotePort === port) isAnswered = true;
    return push.apply(this, chunk);
  };
  try {
    await work();
    return trips;
  } finally {
    delete sockets.write; // a socket has both from what it extends
    delete sockets.push;
  }
}
