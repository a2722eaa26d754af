/** Tells whether a pid still is the process that it was: pids are used again, a pid with its start time is not. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export type ProcessIdentity = {
  readonly pid: number;
  /** Opaque, compared for equality only: clock ticks since boot on Linux, `ps -o lstart=` elsewhere. */
  readonly startTime: string;
};

/** The process with this pid now, or undefined when there is none (a zombie counts as none: it holds nothing any more). */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === 'linux' ? readProcStartTime(pid) : readPsStartTime(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime;
}

/** The process as part of a file's name: `123_456789`. */
export function toTag({ pid, startTime }: ProcessIdentity): string {
  return `${pid}_${startTime.replace(/\W/g, '')}`;
}

export function isTagAlive(tag: string): boolean {
  const now = identify(Number.parseInt(tag, 10));
  return now !== undefined && toTag(now) === tag;
}

function readProcStartTime(pid: number): string | undefined {
  try {
    return parseProcStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined; // no such process
  }
}

/** Field 3 of /proc/PID/stat is the state, field 22 the start time; field 2, the name, may itself hold spaces and brackets. */
export function parseProcStat(stat: string): string | undefined {
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return afterName[0] === 'Z' || afterName[0] === 'X' ? undefined : afterName[19];
}

function readPsStartTime(pid: number): string | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return line === '' || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
  } catch {
    return undefined; // ps exits with 1 when there is no such process
  }
}

/**
 * Sends a signal to the process if it is still the one meant; a process that has gone meanwhile is no error. KILL, which
 * nobody can pass on, goes to its whole group: to apt-get's helpers, and to the esbuild of the synthesis.
 */
export function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  if (name === 'SIGKILL') send(-identity.pid, name);
  send(identity.pid, name);
}

/** To the group that a child of ours leads, if it does. */
export function killGroup(pid: number): void {
  send(-pid, 'SIGKILL');
}

function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended between the look and the signal, leads no group, or belongs to another user, whom we may not touch.
  }
}

/** Ends processes that need not be our children: their own signal first, KILL after `graceMs`; all at the same time. */
export async function endProcesses(
  processes: readonly (ProcessIdentity & { readonly stopSignal: NodeJS.Signals })[],
  graceMs: number,
): Promise<void> {
  for (const each of processes) {
    signal(each, each.stopSignal);
    signal(each, 'SIGCONT'); // a frozen process would not hear the first one
  }
  await waitUntilGone(processes, graceMs);
  for (const each of processes) signal(each, 'SIGKILL');
  await waitUntilGone(processes, 1_000);
}

async function waitUntilGone(processes: readonly ProcessIdentity[], limitMs: number): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (processes.some(isAlive) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 25)); // not our children: there is no event to await
  }
}
