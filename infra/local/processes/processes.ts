/** Starts one server process with a log file, waits until it is ready, notices its crash and stops it within a bound. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../start-error.ts';
import type { Run } from './run.ts';

export type ServerCommand = {
  /** As a person calls it: "PostgreSQL". */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** @default SIGTERM */
  readonly stopSignal?: NodeJS.Signals;
};
export type ServerProcess = {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  readonly isRunning: boolean;
  /** Resolves when the process has ended, with how; never rejects. */
  readonly exited: Promise<string>;
  /** Calls back at most once, when the process ends without `stop` having been called. */
  onCrash(listener: (detail: string) => void): void;
  stop(): Promise<void>;
};

/** Short, because all servers, one after the API, stop within 5 s; each of them needs under 0.3 s. */
const STOP_GRACE_MS = 2_000;
const PROBE_INTERVAL_MS = 30;

export function startProcess(run: Run, server: ServerCommand): ServerProcess {
  const logFile = join(run.stateDir, `${server.name.toLowerCase()}.log`);
  const child = spawnLogged(server, logFile);
  const stopSignal = server.stopSignal ?? 'SIGTERM';
  let stopping = false;
  const exited = describeExit(child).then((how) => {
    if (child.pid !== undefined) run.forget(child.pid);
    return how;
  });
  const pid = child.pid ?? 0;
  if (child.pid !== undefined) run.watch({ name: server.name, pid, stopSignal });
  return {
    name: server.name,
    pid,
    logFile,
    exited,
    get isRunning() {
      return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
    },
    onCrash: (listener) => void exited.then((how) => stopping || listener(`${how}; its log: ${logFile}`)),
    async stop() {
      stopping = true;
      await endChild(child, stopSignal, exited);
    },
  };
}

/** Detached: a Ctrl-C in the terminal goes to the runner alone, which then stops its servers in order. */
function spawnLogged(server: ServerCommand, logFile: string): ChildProcess {
  const log = openSync(logFile, 'w', 0o600);
  try {
    const { uid, gid, cwd } = server;
    return spawn(server.command, server.args, {
      detached: true,
      stdio: ['ignore', log, log],
      ...(server.env && { env: server.env }),
      ...(cwd !== undefined && { cwd }),
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
    });
  } finally {
    closeSync(log); // the child has its own descriptor
  }
}

function describeExit(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`it could not be started: ${error.message}`));
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`),
    );
  });
}

async function endChild(
  child: ChildProcess,
  stopSignal: NodeJS.Signals,
  exited: Promise<string>,
): Promise<void> {
  child.kill(stopSignal);
  child.kill('SIGCONT'); // a frozen process would not hear the first one
  const killer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  await exited;
  clearTimeout(killer);
}

export type ReadyOptions = {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Whether to stop asking after this failure of the probe. @default - never */
  readonly isFinal?: (error: unknown) => boolean;
};

/**
 * Waits until `probe` resolves, asking again while it rejects; gives up when that is final, when the process ends, at the
 * deadline, or on abort. The process is stopped before it rejects.
 */
export async function waitUntilReady(
  server: ServerProcess,
  probe: () => Promise<unknown>,
  options: ReadyOptions,
): Promise<void> {
  const deadline = Date.now() + options.deadlineMs;
  for (let failure = await failureOf(probe); failure !== undefined; failure = await failureOf(probe)) {
    const isLate = Date.now() >= deadline;
    const why = whyGiveUp(server, options, { failure, isLate });
    if (why !== undefined) throw await explainFailure(server, options, why);
    await delay(PROBE_INTERVAL_MS);
  }
}

function whyGiveUp(
  server: ServerProcess,
  { deadlineMs, signal, isFinal }: ReadyOptions,
  { failure, isLate }: { failure: unknown; isLate: boolean },
): string | undefined {
  if (signal?.aborted) return 'was stopped';
  if (isFinal?.(failure)) return 'lets nobody in';
  if (!server.isRunning) return 'ended while starting';
  return isLate ? `did not become ready within ${deadlineMs / 1000} s` : undefined;
}

function failureOf(probe: () => Promise<unknown>): Promise<unknown> {
  return probe().then(
    () => undefined,
    (error: unknown) => error ?? new Error('The probe failed'),
  );
}

async function explainFailure(server: ServerProcess, { signal }: ReadyOptions, how: string): Promise<Error> {
  const lastLine = readLastLine(server.logFile); // before its stop, of which it may write too
  await server.stop();
  signal?.throwIfAborted();
  return new StartError(`${server.name} ${how}: ${lastLine} (its log: ${server.logFile})`);
}

/** What a server said last is, nearly always, why it stopped. */
function readLastLine(logFile: string): string {
  const lines = readFileSync(logFile, 'utf8').trim().split('\n');
  return (
    lines.findLast((line) => /error|fatal|fail|cannot|could not|in use/i.test(line)) ?? lines.at(-1) ?? ''
  );
}
