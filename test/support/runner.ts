/** Runs `npm start`'s program as a process of its own, in a state folder of its own, and waits for what it says and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export type Runner = {
  readonly pid: number;
  /** All it has written so far, to both outputs. */
  readonly output: () => string;
  /** Resolves when the output contains the text; rejects when the process ends before, or takes longer. */
  waitFor(text: string): Promise<void>;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
};

const MAIN = fileURLToPath(new URL('../../infra/local/main.ts', import.meta.url));
/** A bound against hanging, shorter than a test's and a hook's: so that who is late tells what it wrote. */
const WAIT_MS = 90_000;

export function startRunner(stateDir: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Runner {
  return startScript(MAIN, args, { ...env, PREWARM_STATE_DIR: stateDir });
}

/** Any TypeScript program of this project, with the embedded servers unless `env` names others. */
export function startScript(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Runner {
  const child = spawn(process.execPath, ['--no-warnings', script, ...args], {
    env: { ...withoutServerUrls(), ...env },
  });
  const listeners = new Set<() => void>();
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const listener of listeners) listener();
    });
  }
  const exited = awaitExit(child);
  return {
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    kill: (signal) => void child.kill(signal),
    waitFor(text) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const fail = (why: string) => reject(new Error(`${why} before "${text}" was written:\n${output}`));
      const timer = setTimeout(() => fail(`${WAIT_MS} ms passed`), WAIT_MS);
      const look = () => output.includes(text) && resolve();
      listeners.add(look);
      look();
      void exited.then(({ code, signal }) => fail(`It ended (${code ?? signal})`));
      return promise.finally(() => {
        clearTimeout(timer);
        listeners.delete(look);
      });
    },
  };
}

/** `close`, not `exit`: by then all of its output has arrived. */
async function awaitExit(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal };
}

/** npm's own variables too: under them a runner ends with npm, and these have no npm of their own. */
function withoutServerUrls(): NodeJS.ProcessEnv {
  const { REDIS_URL, DATABASE_URL, PUSHGATEWAY_URL, npm_lifecycle_event, ...rest } = process.env;
  return rest;
}
