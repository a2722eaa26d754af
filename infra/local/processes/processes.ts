/** Starts one server process with a log file, waits until it is ready, notices its crash and stops it within a bound. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../start-error.ts';
import { endProcesses, identify } from './process-identity.ts';
import type { Run } from './run.ts';
import { type SpawnSettings, spawnWatched } from './spawn-watched.ts';

type ServerCommand = SpawnSettings & {
  /** As a person calls it: "PostgreSQL". */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** @default SIGTERM */
  readonly stopSignal?: NodeJS.Signals;
};
export type ServerProcess = ReturnType<typeof startProcess>;

/** Short, because all servers, one after the API, stop within 5 s; each of them needs under 0.3 s. */
const STOP_GRACE_MS = 2_000;
const PROBE_INTERVAL_MS = 30;

export function startProcess(run: Run, server: ServerCommand) {
  const { name, command, args, stopSignal = 'SIGTERM', ...options } = server;
  const logFile = join(run.stateDir, `${name.toLowerCase()}.log`);
  const log = openSync(logFile, 'w', 0o600);
  const child = spawnWatched(run, { name, command, args, stopSignal }, { ...options, output: log });
  closeSync(log); // the child has its own descriptor
  const pid = child.pid ?? 0;
  const identity = identify(pid);
  /** Resolves when the process has ended, with how; never rejects. */
  const exited = describeExit(child).finally(() => run.forget(pid));
  let stopping = false;
  return {
    name,
    pid,
    logFile,
    exited,
    get isRunning(): boolean {
      return pid !== 0 && child.exitCode === null && child.signalCode === null;
    },
    /** Calls back at most once, when the process ends without `stop` having been called. */
    onCrash(listener: (detail: string) => void): void {
      void exited.then((how) => stopping || listener(`${how}; its log: ${logFile}`));
    },
    async stop(): Promise<void> {
      stopping = true;
      if (identity !== undefined) await endProcesses([{ identity, stopSignal }], STOP_GRACE_MS);
      await exited;
    },
  };
}

function describeExit(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`it could not be started: ${error.message}`));
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`),
    );
  });
}

type ReadyOptions = {
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
  for (;;) {
    try {
      await probe();
      return;
    } catch (failure) {
      const why = whyGiveUp(server, options, failure, deadline);
      if (why !== undefined) throw await explainFailure(server, options, why);
    }
    await delay(PROBE_INTERVAL_MS);
  }
}

function whyGiveUp(server: ServerProcess, options: ReadyOptions, failure: unknown, deadline: number) {
  if (options.signal?.aborted) return 'was stopped';
  if (options.isFinal?.(failure)) return 'lets nobody in';
  if (!server.isRunning) return 'ended while starting';
  if (Date.now() >= deadline) return `did not become ready within ${options.deadlineMs / 1000} s`;
  return undefined;
}

/** What a server said last is, nearly always, why it stopped. */
async function explainFailure(server: ServerProcess, { signal }: ReadyOptions, how: string): Promise<Error> {
  const lines = readFileSync(server.logFile, 'utf8').trim().split('\n'); // before its stop, of which it may write too
  const cause = lines.findLast((line) => /error|fatal|fail|cannot|could not|in use/i.test(line));
  await server.stop();
  signal?.throwIfAborted();
  return new StartError(`${server.name} ${how}: ${cause ?? lines.at(-1)} (its log: ${server.logFile})`);
}
