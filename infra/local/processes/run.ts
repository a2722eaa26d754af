/** One run of Prewarm in a state folder: claims the folder, records the processes it starts, cleans up after one that died. */
import {
  accessSync,
  constants,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { StartError } from '../start-error.ts';
import { endProcesses, identify, isAlive, type ProcessIdentity, signal } from './process-identity.ts';
import { startReaper } from './reaper.ts';

type RecordedProcess = ProcessIdentity & {
  readonly name: string;
  readonly stopSignal: NodeJS.Signals;
  readonly port?: number;
};
export type RunRecord = {
  readonly runner: ProcessIdentity;
  readonly url?: string;
  readonly processes: readonly RecordedProcess[];
};
export type Run = {
  readonly stateDir: string;
  /** Records a process and has the reaper end it, should the runner disappear. */
  watch(process: { name: string; pid: number; stopSignal: NodeJS.Signals; port?: number }): void;
  forget(pid: number): void;
  /** Ends what was recorded at once, without waiting for anything. */
  kill(): void;
  /** Gives the folder back; call it when everything has stopped. */
  release(): void;
};

const LEFTOVER_GRACE_MS = 3_000;

/**
 * Claims the state folder for this process.
 * @throws StartError when another Prewarm is running there.
 */
export async function claimRun(options: { stateDir: string; url?: string }): Promise<Run> {
  const { stateDir, url } = options;
  prepareFolder(stateDir);
  await clearLeftovers(stateDir);
  const runner = identify(process.pid);
  if (runner === undefined) throw new StartError('Cannot read the start time of processes on this system.');
  const record: RunRecord = { runner, ...(url === undefined ? {} : { url }), processes: [] };
  createRecord(stateDir, record);
  return openRun(stateDir, record);
}

function prepareFolder(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 }); // it holds keys, and a template with a password in it
    accessSync(stateDir, constants.W_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new StartError(
      `The folder ${stateDir} cannot be written (${code}). Start as the user who made it, or name another one in PREWARM_STATE_DIR.`,
    );
  }
}

export function readRun(stateDir: string): RunRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordPath(stateDir), 'utf8')) as RunRecord;
  } catch {
    return undefined; // none, or one that cannot be read, which is as good as none
  }
}

/**
 * Ends what a run that died has left: only processes whose pid and start time both match.
 * @throws StartError when that run lives.
 */
export async function clearLeftovers(stateDir: string): Promise<void> {
  const earlier = readRun(stateDir);
  if (earlier !== undefined) {
    if (isAlive(earlier.runner)) throw new StartError(describeRunning(earlier));
    await endProcesses(earlier.processes, LEFTOVER_GRACE_MS);
  }
  rmSync(recordPath(stateDir), { force: true });
}

function describeRunning({ runner, url }: RunRecord): string {
  const where = url === undefined ? '' : `, ${url}`;
  return `Prewarm is already running (pid ${runner.pid}${where}). Stop it first, with Ctrl-C in its terminal or with: kill ${runner.pid}`;
}

/** link(2) fails when the name exists, and shows the file only complete: of two starts at once, one wins. */
function createRecord(stateDir: string, record: RunRecord): void {
  const draft = `${recordPath(stateDir)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record, undefined, 2), { mode: 0o600 });
  try {
    linkSync(draft, recordPath(stateDir));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new StartError(
      'Another Prewarm is just starting in the same folder. Wait for it, or stop it first.',
    );
  } finally {
    rmSync(draft, { force: true });
  }
}

function openRun(stateDir: string, initial: RunRecord): Run {
  const reaper = startReaper();
  const processes = new Map<number, RecordedProcess>();
  const save = () => replaceRecord(stateDir, { ...initial, processes: [...processes.values()] });
  return {
    stateDir,
    watch(started) {
      const identity = identify(started.pid);
      if (identity === undefined) return; // it has ended already
      reaper.watch(identity, started.stopSignal);
      processes.set(started.pid, { ...started, ...identity });
      save();
    },
    forget(pid) {
      reaper.forget(pid);
      processes.delete(pid);
      save();
    },
    kill() {
      for (const recorded of processes.values()) signal(recorded, 'SIGKILL');
    },
    release() {
      reaper.close();
      rmSync(recordPath(stateDir), { force: true });
    },
  };
}

function replaceRecord(stateDir: string, record: RunRecord): void {
  const draft = `${recordPath(stateDir)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record, undefined, 2), { mode: 0o600 });
  renameSync(draft, recordPath(stateDir));
}

function recordPath(stateDir: string): string {
  return join(stateDir, 'run.json');
}
