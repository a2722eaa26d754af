/** Tells whether a process still is the one that it was: pids are used again, a pid with its start time is not. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../start-error.ts';

/** Its pid and its start time, opaque and fit for a file's name: `123_456789`. */
export type ProcessIdentity = string;

/** The process with this pid now, or undefined when there is none (a zombie counts as none: it holds nothing any more). */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const startTime = process.platform === 'linux' ? readProcStartTime(pid) : readPsStartTime(pid);
    return startTime && `${pid}_${startTime.replace(/\W/g, '')}`;
  } catch {
    return undefined; // no such process
  }
}

export function identifySelf(): ProcessIdentity {
  const self = identify(process.pid);
  if (self === undefined) throw new StartError('Cannot read the start time of processes on this system.');
  return self;
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(Number.parseInt(identity, 10)) === identity;
}

/** In clock ticks since boot. */
function readProcStartTime(pid: number): string | undefined {
  return parseProcStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** Field 3 of /proc/PID/stat is the state, field 22 the start time; field 2, the name, may itself hold spaces and brackets. */
export function parseProcStat(stat: string): string | undefined {
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return afterName[0] === 'Z' || afterName[0] === 'X' ? undefined : afterName[19];
}

function readPsStartTime(pid: number): string | undefined {
  const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  return line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
}

/**
 * Sends a signal to the process if it is still the one meant; a process that has gone meanwhile is no error. KILL, which
 * nobody can pass on, goes to its whole group: to apt-get's helpers, and to the esbuild of the synthesis.
 */
export function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  const pid = Number.parseInt(identity, 10);
  if (name === 'SIGKILL') killGroup(pid);
  send(pid, name);
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

type Ending = { readonly identity: ProcessIdentity; readonly stopSignal: NodeJS.Signals };

/** Ends processes that need not be our children: their own signal first, KILL after `graceMs`; all at the same time. */
export async function endProcesses(processes: readonly Ending[], graceMs: number): Promise<void> {
  for (const { identity, stopSignal } of processes) {
    signal(identity, stopSignal);
    signal(identity, 'SIGCONT'); // a frozen process would not hear the first one
  }
  const waitUntilGone = async (limitMs: number) => {
    const deadline = Date.now() + limitMs;
    const isAnyAlive = () => processes.some(({ identity }) => isAlive(identity));
    while (isAnyAlive() && Date.now() < deadline) await delay(25); // not our children: there is no event to await
  };
  await waitUntilGone(graceMs);
  for (const { identity } of processes) signal(identity, 'SIGKILL');
  await waitUntilGone(1_000);
}
