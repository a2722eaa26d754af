/** One run of Prewarm in a state folder: claims the folder, records the processes it starts, cleans up after one that died. */
import { removeDeadDrafts } from '../drafts.ts';
import { StartError } from '../start-error.ts';
import { prepareStateFolder } from '../state-folder.ts';
import { endProcesses, identify, isAlive, type ProcessIdentity, signal } from './process-identity.ts';
import { startReaper } from './reaper.ts';
import {
  type RecordedProcess,
  type RunRecord,
  readRun,
  readTurn,
  releaseTurn,
  takeTurn,
  writeTurn,
} from './run-record.ts';

/** Is told of each process, so that it can be ended should the runner disappear. */
export type ProcessWatcher = {
  /** Records a process and has the reaper end it. */
  watch(process: { name: string; pid: number; stopSignal: NodeJS.Signals }): void;
  forget(pid: number): void;
};
export type Run = ProcessWatcher & {
  readonly stateDir: string;
  /** Ends what was recorded at once, without waiting for anything. */
  kill(): void;
  /** Gives the folder back; call it when everything has stopped. */
  release(): void;
};

const LEFTOVER_GRACE_MS = 3_000;

/**
 * Claims the state folder for this process, and ends and removes what a run that died has left there.
 * @throws StartError when another Prewarm is running there, or the folder is not one of Prewarm's.
 */
export async function claimRun(options: { stateDir: string; url?: string }): Promise<Run> {
  const { stateDir, url } = options;
  prepareStateFolder(stateDir);
  const earlier = readTurn(stateDir);
  if (earlier.record !== undefined && isAlive(earlier.record.runner))
    throw new StartError(describeRunning(earlier.record));
  const base = { runner: identifySelf(), ...(url === undefined ? {} : { url }) };
  // With what the dead run left: should this one die while it clears up, the next one goes on.
  const left = earlier.record?.processes ?? [];
  const number = takeTurn(stateDir, earlier, { ...base, processes: left });
  await endProcesses(left, LEFTOVER_GRACE_MS);
  removeDeadDrafts(stateDir);
  return openRun(stateDir, number, base);
}

/** Ends what a run that died has left: only processes whose pid and start time both match. */
export async function endLeftovers(stateDir: string): Promise<void> {
  const record = readRun(stateDir);
  if (record !== undefined && !isAlive(record.runner))
    await endProcesses(record.processes, LEFTOVER_GRACE_MS);
}

function identifySelf(): ProcessIdentity {
  const runner = identify(process.pid);
  if (runner === undefined) throw new StartError('Cannot read the start time of processes on this system.');
  return runner;
}

function describeRunning({ runner, url }: RunRecord): string {
  const where = url === undefined ? '' : `, ${url}`;
  return `Prewarm is already running (pid ${runner.pid}${where}). Stop it first, with Ctrl-C in its terminal or with: kill ${runner.pid}`;
}

function openRun(stateDir: string, number: number, base: Omit<RunRecord, 'processes'>): Run {
  const reaper = startReaper();
  const processes = new Map<number, RecordedProcess>();
  let released = false;
  // A process may be told of late: what was released then belongs to nobody, or to the next run.
  const save = () => released || writeTurn(stateDir, number, { ...base, processes: [...processes.values()] });
  save();
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
      released = true;
      reaper.close();
      releaseTurn(stateDir, number);
    },
  };
}
