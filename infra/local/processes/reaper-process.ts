/**
 * The reaper: a process in a session of its own that ends the servers when the runner has disappeared, even by SIGKILL.
 * It learns of each server by a line on its standard input; the end of that input is the end of the runner.
 */
import { createInterface } from 'node:readline';
import { endProcesses, type ProcessIdentity } from './process-identity.ts';

export type ReaperMessage =
  | ({ readonly type: 'watch'; readonly stopSignal: NodeJS.Signals } & ProcessIdentity)
  | { readonly type: 'forget'; readonly pid: number };

const GRACE_MS = 2_000;
const watched = new Map<number, ProcessIdentity & { stopSignal: NodeJS.Signals }>();

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {}); // only the runner's end ends it

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line) as ReaperMessage;
  if (message.type === 'watch') watched.set(message.pid, message);
  else watched.delete(message.pid);
}

await endProcesses([...watched.values()], GRACE_MS);
