/**
 * The reaper: a process in a session of its own that ends what the runner has left when it has disappeared, even by SIGKILL.
 * Each line on its standard input names all that runs; the end of that input is the end of the runner.
 */
import { createInterface } from 'node:readline';
import { endProcesses } from './process-identity.ts';

const GRACE_MS = 2_000;

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {}); // only the runner's end ends it

let running = '[]';
for await (const line of createInterface({ input: process.stdin })) running = line;
await endProcesses(JSON.parse(running), GRACE_MS);
