/** The parts of a running Prewarm: what is starting or running, and how each one stops. */
import { within } from '../time-limit.ts';

export type Parts = {
  /** Registers a part that is being started, and returns the same promise. Parts stop in the reverse order. */
  add<T>(starting: Promise<T>, limitMs: number, stop: (part: T) => Promise<unknown>): Promise<T>;
  /** Never rejects; a part that takes longer than its limit is left to whoever kills what is left. */
  stop(): Promise<void>;
};

export function createParts(): Parts {
  const stops: (() => Promise<unknown>)[] = [];
  return {
    add(starting, limitMs, stop) {
      // A start that fails has cleaned up after itself, and tells whoever awaits it.
      const stopIt = () => starting.then(stop).catch(() => {});
      stops.unshift(() => within<unknown>(limitMs, stopIt(), () => {}));
      return starting;
    },
    async stop() {
      for (const stop of stops) await stop();
    },
  };
}
