/** Containers of a test's own: processes that read through a cache each, to freeze, thaw and kill; the reaper ends them when the test's process dies. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { claimRun, type Run } from '../../infra/local/processes/run.ts';
import type {
  ReaderAction,
  ReaderAnswer,
  ReaderArguments,
  ReaderRequest,
  ReaderResult,
} from './reader-program.ts';

export type Reader = {
  readonly pid: number;
  /** Has the process do something; rejects with what it threw, when it ends meanwhile, or after 5 s. */
  call<Action extends ReaderAction>(
    action: Action,
    ...args: ReaderArguments<Action>
  ): Promise<ReaderResult<Action>>;
  /** What it is told meanwhile it does after the thaw. */
  freeze(): void;
  thaw(): void;
  /** Kills it, frozen or not; resolves when it has gone. Can be called twice. */
  kill(): Promise<void>;
};

type ReaderServers = { readonly redisUrl: string; readonly databaseUrl: string };

export type Readers = {
  /** Resolves when the process is connected to both servers. */
  start(servers: ReaderServers): Promise<Reader>;
  /** Kills all that were started. Call it in `afterAll`. */
  end(): Promise<void>;
};

const PROGRAM = fileURLToPath(new URL('./reader-program.ts', import.meta.url));
const START_TIMEOUT_MS = 15_000;
const CALL_TIMEOUT_MS = 5_000;

export async function openReaders(): Promise<Readers> {
  const stateDir = join(inject('servers').stateDir, `readers-${process.pid}`);
  const run = await claimRun({ stateDir });
  const started: Reader[] = [];
  return {
    async start(servers) {
      const { reader, ready } = startReader(run, servers);
      started.push(reader);
      await ready;
      return reader;
    },
    async end() {
      await Promise.all(started.map((reader) => reader.kill()));
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

function startReader(run: Run, servers: ReaderServers): { reader: Reader; ready: Promise<unknown> } {
  const child = fork(PROGRAM, [JSON.stringify(servers)], {
    execArgv: ['--no-warnings'],
    env: { ...process.env, LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'silent' },
    serialization: 'advanced', // which keeps what is undefined
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  const pid = child.pid ?? 0;
  if (child.pid !== undefined) run.watch({ name: 'Reader', pid, stopSignal: 'SIGKILL' });
  const answers = new Answers(child);
  const exited = once(child, 'exit').then(() => run.forget(pid));
  let calls = 0;
  const reader: Reader = {
    pid,
    call(action, ...args) {
      const request: ReaderRequest = { id: ++calls, action, args };
      child.send(request, () => {}); // whether it arrives, the answer tells
      return answers.next(request.id, action, CALL_TIMEOUT_MS) as Promise<ReaderResult<typeof action>>;
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
  return { reader, ready: answers.next(0, 'start', START_TIMEOUT_MS) };
}

/** Matches what a process answers with what it was asked, each within its time. */
class Answers {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: ReaderAnswer) => void>();

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (answer: ReaderAnswer) => this.#waiting.get(answer.id)?.(answer));
    child.once('exit', () => {
      for (const [id, settle] of this.#waiting) settle({ id, error: 'the process ended' });
    });
  }

  next(id: number, action: string, timeoutMs: number): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const fail = (why: string) => reject(new Error(`"${action}" in process ${this.#child.pid}: ${why}`));
    const timer = setTimeout(fail, timeoutMs, `no answer within ${timeoutMs} ms`);
    this.#waiting.set(id, ({ result, error }) => (error === undefined ? resolve(result) : fail(error)));
    const settled = promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(id);
    });
    settled.catch(() => {}); // a test that has failed awaits it no more
    return settled;
  }
}
