/** How busy the machine was: at more than half of it, latencies are about the machine and not about who is measured. */
import { cpus } from 'node:os';

/** Starts to measure; the function that it answers tells the busy share, from 0 to 1, of all processors since then. */
export function measureBusy(): () => number {
  const begun = sumTimes();
  return () => {
    const now = sumTimes();
    return 1 - (now.idleMs - begun.idleMs) / (now.allMs - begun.allMs);
  };
}

function sumTimes(): { idleMs: number; allMs: number } {
  let idleMs = 0;
  let allMs = 0;
  for (const { times } of cpus()) {
    idleMs += times.idle;
    allMs += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idleMs, allMs };
}
