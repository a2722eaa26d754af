/** A bounded semaphore: so many may run at once, so many may wait, and nobody waits longer than it says. */
export type Slots = {
  /** True once there is a slot; false when too many wait already or the wait took too long. */
  acquire(maxWaitMs: number): Promise<boolean>;
  release(): void;
  readonly used: number;
};

export function createSlots(options: { count: number; maxWaiting: number }): Slots {
  const waiting = new Set<() => void>();
  let used = 0;
  return {
    async acquire(maxWaitMs) {
      if (used < options.count) {
        used += 1;
        return true;
      }
      return waiting.size < options.maxWaiting && (await wait(waiting, maxWaitMs));
    },
    release() {
      const [next] = waiting;
      if (next)
        next(); // the slot passes on, so the count stays
      else used -= 1;
    },
    get used() {
      return used;
    },
  };
}

function wait(waiting: Set<() => void>, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (granted: boolean) => {
      clearTimeout(timer);
      waiting.delete(grant);
      resolve(granted);
    };
    const grant = () => settle(true);
    const timer = setTimeout(() => settle(false), limitMs);
    waiting.add(grant);
  });
}
