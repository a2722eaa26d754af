/** Containers of the real read function: a process each, with its start before the first request, killed when the test is finished. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { APIGatewayProxyResult } from 'aws-lambda';
import { onTestFinished } from 'vitest';
import type { FunctionAnswer, FunctionRequest } from './read-function-program.ts';

export type ReadFunction = {
  /** How long the container took from its process' start until it could take a request. */
  readonly startMs: number;
  get(request: Omit<FunctionRequest, 'id'>): Promise<APIGatewayProxyResult>;
};

const PROGRAM = fileURLToPath(new URL('./read-function-program.ts', import.meta.url));
const ANSWER_TIMEOUT_MS = 15_000;

export async function startReadFunction(servers: {
  readonly redisUrl: string;
  readonly databaseUrl: string;
}): Promise<ReadFunction> {
  const beganAtMs = performance.now();
  const child = fork(PROGRAM, [], {
    execArgv: ['--no-warnings'],
    env: {
      ...process.env,
      REDIS_URL: servers.redisUrl,
      DATABASE_URL: servers.databaseUrl,
      PUSHGATEWAY_URL: '',
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  onTestFinished(() => end(child));
  await answerTo(child, 0);
  let requests = 0;
  return {
    startMs: performance.now() - beganAtMs,
    async get(request) {
      const id = ++requests;
      const answered = answerTo(child, id);
      child.send({ ...request, id });
      return (await answered).answer as APIGatewayProxyResult;
    },
  };
}

async function answerTo(child: ChildProcess, id: number): Promise<FunctionAnswer> {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  for (;;) {
    const [answer] = (await once(child, 'message', { signal })) as [FunctionAnswer];
    if (answer.id === id) return answer;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
