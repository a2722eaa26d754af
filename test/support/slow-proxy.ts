/** A TCP proxy before a server, which a test makes slow, mute or gone, as a network does. */
import type { Socket } from 'node:net';
import { atEnd } from './at-end.ts';
import { openProxy } from './proxy.ts';

export type SlowProxy = {
  /** The server's URL through the proxy. */
  readonly url: string;
  /** Each request from now on arrives this much later; the answers are not held up any further. */
  slow(latencyMs: number): void;
  /** Keeps connections open, takes new ones, and keeps all bytes, of both sides, to itself. */
  hang(): void;
  /** Resolves when the proxy keeps a request to itself; call it after `hang`. */
  untilHolding(): Promise<void>;
  /** Hangs when `text` comes by for the `times`th time, in a request or an answer; resolves then. */
  hangAt(text: string, times?: number): Promise<void>;
  /** When `text` came in, also if it is late or kept, by `performance.now()`; goes on to be filled. */
  timesOf(text: string): readonly number[];
  /** Cuts the connections and refuses new ones. */
  refuse(): Promise<void>;
  /** Works as a wire again; what was kept, or is late, is sent on at once. Can be called at any time. */
  recover(): Promise<void>;
  /** The connections that are open lead nowhere from now on, without being closed; later ones arrive. */
  loseConnections(): void;
};

type Road = {
  latencyMs: number;
  /** Ends the lateness of what is on its way. */
  hurry: PromiseWithResolvers<void>;
  hanging: PromiseWithResolvers<void> | undefined;
  onHeld: () => void;
  /** Are told of each piece just before it may go on. */
  readonly watchers: Set<(piece: Buffer) => void>;
  /** Are told of each piece as it comes in. */
  readonly observers: Set<(piece: Buffer) => void>;
};

export async function openSlowProxy(targetUrl: string): Promise<SlowProxy> {
  const road: Road = {
    latencyMs: 0,
    hurry: Promise.withResolvers(),
    hanging: undefined,
    onHeld: () => {},
    watchers: new Set(),
    observers: new Set(),
  };
  const proxy = await openProxy(targetUrl, (client, upstream) => {
    forward(client, upstream, road, () => road.latencyMs);
    forward(upstream, client, road, () => 0);
  });
  const hang = () => {
    road.hanging ??= Promise.withResolvers();
  };
  const unhang = () => {
    road.hanging?.resolve();
    road.hanging = undefined;
  };
  atEnd(unhang);
  return {
    url: proxy.url,
    slow: (latencyMs) => {
      road.latencyMs = latencyMs;
    },
    hang,
    untilHolding: () =>
      new Promise((resolve) => {
        road.onHeld = resolve;
      }),
    hangAt: (text, times = 1) =>
      new Promise((resolve) => {
        let seen = 0;
        const watch = (piece: Buffer) => {
          if (!piece.includes(text) || ++seen < times) return;
          road.watchers.delete(watch);
          hang();
          resolve();
        };
        road.watchers.add(watch);
      }),
    timesOf(text) {
      const seenAtMs: number[] = [];
      road.observers.add((piece) => piece.includes(text) && seenAtMs.push(performance.now()));
      return seenAtMs;
    },
    refuse: proxy.refuse,
    async recover() {
      road.latencyMs = 0;
      road.hurry.resolve();
      road.hurry = Promise.withResolvers();
      unhang();
      await proxy.listen();
    },
    loseConnections() {
      for (const socket of proxy.sockets) socket.removeAllListeners('data').resume();
    },
  };
}

/** Sends each piece on in its order, not before its time; those that come close together travel together. */
function forward(from: Socket, to: Socket, road: Road, latencyMs: () => number): void {
  let last = Promise.resolve();
  from.on('data', (chunk: Buffer) => {
    for (const observe of road.observers) observe(chunk);
    const arrived = travel(road, latencyMs());
    last = last.then(async () => {
      await arrived;
      await hold(road, chunk);
      if (to.writable) to.write(chunk);
    });
  });
  from.on('end', () => void last.then(() => to.end()));
}

/** Ends after `latencyMs`, or when the proxy works as a wire again. */
async function travel(road: Road, latencyMs: number): Promise<void> {
  if (latencyMs === 0) return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, latencyMs);
  });
  await Promise.race([late, road.hurry.promise]);
  clearTimeout(timer);
}

async function hold(road: Road, piece: Buffer): Promise<void> {
  for (const watch of road.watchers) watch(piece);
  if (road.hanging === undefined) return;
  road.onHeld();
  await road.hanging.promise;
}
