/** The parts of a running Prewarm: what is starting or running, and how each one stops. */
import { within } from '../time-limit.ts';

export type Parts = ReturnType<typeof createParts>;

export function createParts() {
  const stops: (() => Promise<unknown>)[] = [];
  return {
    /** Registers a part that is being started, and returns the same promise. Parts stop in the reverse order. */
    add<T>(starting: Promise<T>, limitMs: number, stop: (part: T) => Promise<unknown>): Promise<T> {
      // A start that fails has cleaned up after itself, and tells whoever awaits it.
      stops.unshift(() =>
        within<unknown>(
          limitMs,
          starting.then(stop).catch(() => {}),
          () => {},
        ),
      );
      return starting;
    },
    /** Never rejects; a part that takes longer than its limit is left to whoever kills what is left. */
    async stop(): Promise<void> {
      for (const stop of stops) await stop();
    },
  };
}
