/** The runner's end of the reaper: starts it and tells it which processes to end if the runner disappears. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProcessIdentity } from './process-identity.ts';
import type { ReaperMessage } from './reaper-process.ts';

export type Reaper = {
  watch(identity: ProcessIdentity, stopSignal: NodeJS.Signals): void;
  forget(pid: number): void;
  /** Lets the reaper go; what it still watches, it ends. */
  close(): void;
};

const REAPER_PATH = fileURLToPath(new URL('./reaper-process.ts', import.meta.url));

export function startReaper(): Reaper {
  const child = spawn(process.execPath, ['--no-warnings', REAPER_PATH], {
    detached: true, // a session of its own: neither Ctrl-C nor a closed terminal reaches it
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const input = child.stdin;
  child.on('error', () => {}); // without a reaper the runner still stops what it starts
  input.on('error', () => {});
  unrefAll(child, input);
  const send = (message: ReaperMessage) => void input.write(`${JSON.stringify(message)}\n`);
  return {
    watch: (identity, stopSignal) => send({ type: 'watch', ...identity, stopSignal }),
    forget: (pid) => send({ type: 'forget', pid }),
    close: () => void input.end(),
  };
}

/** The reaper must not keep the runner alive. The pipe's handle has `unref`, which the type of a Writable does not show. */
function unrefAll(...handles: object[]): void {
  for (const handle of handles) if ('unref' in handle && typeof handle.unref === 'function') handle.unref();
}
