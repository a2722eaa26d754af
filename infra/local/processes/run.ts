/** One run of Prewarm in a state folder: locks the folder, records what it starts, cleans up after a run that died. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { draftOf, removeDeadDrafts } from '../drafts.ts';
import { StartError } from '../start-error.ts';
import { prepareStateFolder } from '../state-folder.ts';
import { endProcesses, identify, type ProcessIdentity, signal } from './process-identity.ts';

export type WatchedProcess = {
  readonly name: string;
  readonly pid: number;
  readonly stopSignal: NodeJS.Signals;
};
type RecordedProcess = WatchedProcess & { readonly identity: ProcessIdentity };
type RunRecord = {
  readonly pid: number;
  readonly url?: string | undefined;
  readonly processes: readonly RecordedProcess[];
};

export type Run = Awaited<ReturnType<typeof claimRun>>;
/** Is told of each process, so that it can be ended should the runner disappear. */
export type ProcessWatcher = Pick<Run, 'watch' | 'forget'>;

const LEFTOVER_GRACE_MS = 3_000;
const REAPER_PATH = fileURLToPath(new URL('./reaper-process.ts', import.meta.url));
const SQLITE_BUSY = 5;

/**
 * Claims the state folder for this process, and ends and removes what a run that died has left there.
 * @throws StartError when another Prewarm is running there, or the folder is not one of Prewarm's.
 */
export async function claimRun({ stateDir, url }: { stateDir: string; url?: string }) {
  prepareStateFolder(stateDir);
  const lock = lockFolder(stateDir);
  await endLeftovers(stateDir); // still on record: should this run die here, the next one goes on
  removeDeadDrafts(stateDir);
  const reaper = startReaper();
  const processes = new Map<number, RecordedProcess>();
  let released = false;
  const save = () => {
    if (released) return; // a process may be told of late: the folder then is nobody's, or the next run's
    const running = [...processes.values()];
    reaper.write(`${JSON.stringify(running)}\n`);
    writeRecord(stateDir, { pid: process.pid, url, processes: running });
  };
  save();
  return {
    stateDir,
    /** Records a process and has the reaper end it. */
    watch(started: WatchedProcess): void {
      const identity = identify(started.pid);
      if (identity === undefined) return; // it has ended already
      processes.set(started.pid, { ...started, identity });
      save();
    },
    forget(pid: number): void {
      if (processes.delete(pid)) save();
    },
    /** Ends what was recorded at once, without waiting for anything. */
    kill(): void {
      for (const { identity } of processes.values()) signal(identity, 'SIGKILL');
    },
    /** Gives the folder back; call it when everything has stopped. Can be called twice. */
    release(): void {
      if (released) return; // the folder may be the next run's
      released = true;
      reaper.end(); // what it still knows of, it ends
      rmSync(join(stateDir, 'run.json'), { force: true });
      lock.close();
    },
  };
}

/** What runs in the folder, or has run there until it died; undefined when nothing has, or it stopped in order. */
export function readRun(stateDir: string): RunRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(stateDir, 'run.json'), 'utf8')) as RunRecord;
  } catch {
    return undefined; // none, or one that cannot be read, which is as good as none
  }
}

/** A reader sees the old record or the new one, never half of one. */
function writeRecord(stateDir: string, record: RunRecord): void {
  const draft = draftOf(join(stateDir, 'run'));
  writeFileSync(draft, JSON.stringify(record, undefined, 2), { mode: 0o600 });
  renameSync(draft, join(stateDir, 'run.json'));
}

/** Ends what a run that died has left: only processes whose pid and start time both match. */
export async function endLeftovers(stateDir: string): Promise<void> {
  await endProcesses(readRun(stateDir)?.processes ?? [], LEFTOVER_GRACE_MS);
}

/** SQLite's lock on a file is the operating system's, which takes it back however this process ends. */
function lockFolder(stateDir: string): DatabaseSync {
  const file = join(stateDir, 'run.lock');
  if (!existsSync(file)) writeFileSync(file, '', { mode: 0o600 }); // for nobody else to lock
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    const { pid, url } = readRun(stateDir) ?? {};
    // Until the new run has its own record, there is none, or that of a run that died.
    if (pid === undefined || identify(pid) === undefined)
      throw new StartError(
        'Another Prewarm is just starting in the same folder. Wait for it, or stop it first.',
      );
    throw new StartError(
      `Prewarm is already running (pid ${pid}${url ? `, ${url}` : ''}). Stop it first, with Ctrl-C in its terminal or with: kill ${pid}`,
    );
  }
}

function startReaper(): NodeJS.WritableStream {
  const child = spawn(process.execPath, ['--no-warnings', REAPER_PATH], {
    detached: true, // a session of its own: neither Ctrl-C nor a closed terminal reaches it
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.on('error', () => {}); // without a reaper the runner still stops what it starts
  child.stdin.on('error', () => {});
  child.unref(); // it must not keep the runner alive
  (child.stdin as Partial<Socket>).unref?.(); // the pipe, whose type does not show that it is a socket
  return child.stdin;
}
