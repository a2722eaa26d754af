/** A proxy before PostgreSQL that holds back the Execute message of a statement, as a busy backend or network may. */
import type { Socket } from 'node:net';
import { openProxy } from './proxy.ts';

const EXECUTE = 'E'.charCodeAt(0);
const TYPE_BYTES = 1;

export type ExecuteGate = {
  /** The database's URL through the proxy. */
  readonly url: string;
  /** Holds back the next Execute: what comes before it (Parse, Bind with its snapshot) is sent. Resolves when it is held. */
  holdNext(): Promise<void>;
  release(): void;
};

export async function openExecuteGate(databaseUrl: string): Promise<ExecuteGate> {
  let onHeld: (() => void) | undefined;
  let open = Promise.withResolvers<void>();
  const { url } = await openProxy(databaseUrl, (client, upstream) => {
    upstream.pipe(client);
    const forwarding = forward(client, upstream, async (type) => {
      if (type !== EXECUTE || onHeld === undefined) return;
      onHeld();
      onHeld = undefined;
      await open.promise;
    });
    forwarding.catch(() => upstream.destroy()); // one of the two has gone
  });
  return {
    url,
    holdNext() {
      open = Promise.withResolvers();
      return new Promise((resolve) => {
        onHeld = resolve;
      });
    },
    release: () => open.resolve(),
  };
}

/** Message by message; the first one, which starts the session, has no type. */
async function forward(from: Socket, to: Socket, before: (type: number) => Promise<void>): Promise<void> {
  let pending = Buffer.alloc(0);
  let typeBytes = 0;
  for await (const chunk of from) {
    pending = Buffer.concat([pending, chunk as Buffer]);
    while (pending.length >= typeBytes + 4) {
      const length = typeBytes + pending.readUInt32BE(typeBytes);
      if (pending.length < length) break;
      if (typeBytes > 0) await before(pending.readUInt8(0));
      to.write(pending.subarray(0, length));
      pending = pending.subarray(length);
      typeBytes = TYPE_BYTES;
    }
  }
  to.end();
}
