/** Containers of the real read function: a process each, with its start before the first request, killed when the test is finished. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { APIGatewayProxyResult } from 'aws-lambda';
import { onTestFinished } from 'vitest';
import type { FunctionAnswer, FunctionRequest } from './read-function-program.ts';

export type ReadFunction = {
  get(request: Omit<FunctionRequest, 'id'>): Promise<APIGatewayProxyResult>;
};

const PROGRAM = fileURLToPath(new URL('./read-function-program.ts', import.meta.url));
/** A start may wait for Redis for a moment only: on a busy machine it would not be told from one whose Redis is away. */
const SLOW_CLOCK = new URL('./slow-clock.ts', import.meta.url).href;
/** A bound against hanging. */
const ANSWER_TIMEOUT_MS = 60_000;

export async function startReadFunction(servers: {
  readonly redisUrl: string;
  readonly databaseUrl: string;
}): Promise<ReadFunction> {
  const child = fork(PROGRAM, [], {
    execArgv: ['--no-warnings', '--import', SLOW_CLOCK],
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
