/** The parts of a running Prewarm: what is starting or running, how each one stops, and the first one that crashed. */
export type Parts = {
  /** Registers a part that is being started, and returns the same promise. Parts stop in the reverse order. */
  add<T>(
    starting: Promise<T>,
    stop: { readonly limitMs: number; run(part: T): Promise<unknown> },
  ): Promise<T>;
  reportCrash(part: string, detail: string): void;
  /** Resolves, with one line about it, when a part crashes. */
  readonly crashed: Promise<string>;
  /** Never rejects; a part that takes longer than its limit is left to the reaper. */
  stop(): Promise<void>;
};

export function createParts(): Parts {
  const stops: (() => Promise<void>)[] = [];
  const { promise: crashed, resolve } = Promise.withResolvers<string>();
  return {
    crashed,
    add(starting, stop) {
      // A start that fails has cleaned up after itself, and tells whoever awaits it.
      stops.unshift(() =>
        settleWithin(
          starting.then((part) => stop.run(part)),
          stop.limitMs,
        ),
      );
      return starting;
    },
    reportCrash: (part, detail) => resolve(`${part} stopped unexpectedly: ${detail}`),
    async stop() {
      for (const stop of stops) await stop();
    },
  };
}

async function settleWithin(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work.catch(() => {}), limit]);
  clearTimeout(timer);
}
