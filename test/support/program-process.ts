/** Programs of a test's own in processes of their own, to freeze, thaw and kill; the reaper ends them when the test's process dies. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { inject } from 'vitest';
import { claimRun, type Run } from '../../infra/local/processes/run.ts';
import type { Actions, Answer, Arguments, Request, Result } from './program-actions.ts';

export type Program<Offered extends Actions> = {
  readonly pid: number;
  /** Has the process do something; rejects with what it threw, when it ends meanwhile, or when it is late. */
  call<Action extends keyof Offered & string>(
    action: Action,
    ...args: Arguments<Offered, Action>
  ): Promise<Result<Offered, Action>>;
  /** What it has written so far. Empty if it writes to the test's own output. */
  output(): string;
  /** What it is told meanwhile it does after the thaw. */
  freeze(): void;
  thaw(): void;
  /** Kills it, frozen or not; resolves when it has gone. Can be called twice. */
  kill(): Promise<void>;
};

export type Programs<Offered extends Actions> = {
  /** Resolves when the process says that it is ready. */
  start(env: NodeJS.ProcessEnv): Promise<Program<Offered>>;
  /** Kills all that were started. Call it in `afterAll`. */
  end(): Promise<void>;
};

type Options = {
  /** In the singular: `Reader`. */
  readonly name: string;
  /** The file that calls `offer`. */
  readonly path: string;
  /** How long one answer may take. @default 60 s: a bound against hanging */
  readonly callTimeoutMs?: number;
  /** Keep what it writes, for `output`. @default false: it writes to the test's own output */
  readonly keepsOutput?: boolean;
};

/** What these programs are about are not the datasets of the product. */
const OWN_DATASETS = new URL('./datasets/instead.ts', import.meta.url).href;
const START_TIMEOUT_MS = 60_000;
const CALL_TIMEOUT_MS = 60_000;

export async function openPrograms<Offered extends Actions>(options: Options): Promise<Programs<Offered>> {
  const stateDir = join(inject('servers').stateDir, `${options.name.toLowerCase()}s-${process.pid}`);
  const run = await claimRun({ stateDir });
  const started: Program<Offered>[] = [];
  return {
    async start(env) {
      const { program, ready } = startProgram<Offered>(run, options, env);
      started.push(program);
      await ready;
      return program;
    },
    async end() {
      await Promise.all(started.map((program) => program.kill()));
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

function startProgram<Offered extends Actions>(
  run: Run,
  { name, path, callTimeoutMs = CALL_TIMEOUT_MS, keepsOutput = false }: Options,
  env: NodeJS.ProcessEnv,
): { program: Program<Offered>; ready: Promise<unknown> } {
  const child = fork(path, {
    execArgv: ['--no-warnings', '--import', OWN_DATASETS],
    env: { ...process.env, LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'silent', ...env },
    serialization: 'advanced', // which keeps what is undefined
    stdio: ['ignore', keepsOutput ? 'pipe' : 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  const pid = child.pid ?? 0;
  if (child.pid !== undefined) run.watch({ name, pid, stopSignal: 'SIGKILL' });
  const answers = new Answers(child);
  const exited = once(child, 'exit').then(() => run.forget(pid));
  let calls = 0;
  const program: Program<Offered> = {
    pid,
    call(action, ...args) {
      const request: Request = { id: ++calls, action, args };
      child.send(request, () => {}); // whether it arrives, the answer tells
      return answers.next(request.id, action, callTimeoutMs) as Promise<Result<Offered, typeof action>>;
    },
    output: collect(child.stdout),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
  return { program, ready: answers.next(0, 'start', START_TIMEOUT_MS) };
}

function collect(stream: Readable | null): () => string {
  let text = '';
  stream?.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  return () => text;
}

/** Matches what a process answers with what it was asked, each within its time. */
class Answers {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
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
