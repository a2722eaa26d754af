/** How busy the machine was with something else than the benchmark while a case ran: figures of a busy machine mean little. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';
import type { CaseResult } from './table.ts';

/** Of all processors. */
const SHARE_MAX = 0.1;
/** Where the fields of /proc/<pid>/stat are, counted from the one after the name, which may hold anything. */
const PPID = 1;
const OWN_TIMES = [11, 12, 13, 14]; // user and system, its own and that of its children that have ended

/** In ticks of the clock, since the machine's start. `own` is of a process and all below it. */
export type ProcessorTime = { readonly all: number; readonly busy: number; readonly own: number };

/** Runs a case, and has its result say when it was measured beside something else. */
export async function besideOthers(run: () => Promise<CaseResult>): Promise<CaseResult> {
  const before = readProcessorTime();
  const result = await run();
  const after = readProcessorTime();
  if (before === undefined || after === undefined) return result;
  const busyNote = describeOthers(shareOfOthers(before, after));
  return busyNote === undefined ? result : { ...result, busyNote };
}

export function describeOthers(share: number): string | undefined {
  if (share <= SHARE_MAX) return undefined;
  return `The machine was busy with something else (${Math.round(100 * share)} %): these figures mean little.`;
}

/** From 0 to 1, of all processors. */
export function shareOfOthers(before: ProcessorTime, after: ProcessorTime): number {
  const others = after.busy - before.busy - (after.own - before.own);
  return Math.max(0, others) / (after.all - before.all);
}

/** Undefined where the system does not tell. */
function readProcessorTime(): ProcessorTime | undefined {
  if (process.platform !== 'linux') return undefined;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const processes = pids.flatMap((pid) => readIfThere(`/proc/${pid}/stat`) ?? []);
  return processorTimeOf(readFileSync('/proc/stat', 'utf8'), processes, process.pid);
}

/** From /proc/stat, and the /proc/<pid>/stat of all processes. */
export function processorTimeOf(stat: string, processes: readonly string[], root: number): ProcessorTime {
  // Its first line: user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice.
  const times = stat.split('\n', 1)[0]?.trim().split(/\s+/).slice(1, 9).map(Number) ?? [];
  const all = sum(times);
  return { all, busy: all - sum(times.slice(3, 5)), own: timeBelow(processes.map(parse), root) };
}

type Process = { readonly pid: number; readonly parent: number; readonly time: number };

function parse(stat: string): Process {
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  return {
    pid: Number.parseInt(stat, 10),
    parent: fields[PPID] ?? 0,
    time: sum(OWN_TIMES.map((place) => fields[place] ?? 0)),
  };
}

function timeBelow(processes: readonly Process[], root: number): number {
  const children = processes.filter(({ parent }) => parent === root);
  const own = processes.find(({ pid }) => pid === root)?.time ?? 0;
  return own + sum(children.map(({ pid }) => timeBelow(processes, pid)));
}

/** A process may have ended since it was listed. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
