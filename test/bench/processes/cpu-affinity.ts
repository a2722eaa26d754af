/** Which processor a process runs on: who is measured and the Redis it asks stay apart, else their figures depend on where the kernel puts them. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

const TASKSET_TIMEOUT_MS = 2_000;

/** The servers' processor, and that of the one who is measured: as in a Lambda of one processor. */
export const SERVER_CPU = 0;
export const MEASURED_CPU = 1;

/** With all its threads. Where there is no `taskset`, or one processor only, the kernel goes on choosing. */
export function pin(pid: number | undefined, cpu: number): void {
  if (pid === undefined || availableParallelism() < 2) return;
  spawnSync('taskset', ['-a', '-c', '-p', String(cpu), String(pid)], { timeout: TASKSET_TIMEOUT_MS });
}
