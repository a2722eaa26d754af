/** Runs in the child process: Lambda's side of a function. Loads the bundle once, then answers one invocation after the other. */
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export type Invocation = {
  readonly requestId: string;
  readonly payload: string;
  readonly deadlineMs: number;
  readonly arn: string;
};

/** Of an invocation, or of the init before the first one. */
export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answered'; readonly payload: string }
  | { readonly kind: 'failed'; readonly error: FunctionError };

/** What Lambda answers for a function that threw. */
export type FunctionError = {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
};

/** For what a function has to give back, such as a lock. */
const ORDERLY_END_MS = 1_000;

type Handler = (event: unknown, context: object) => unknown;

// Lambda's runtime brings the SDK; here the project does, wherever the bundle lies.
registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier, specifier.startsWith('@aws-sdk/') ? { ...context, parentURL: import.meta.url } : context),
});

// A container does not outlive its runner.
process.on('disconnect', () => {
  setTimeout(() => process.exit(0), ORDERLY_END_MS);
  process.kill(process.pid, 'SIGTERM'); // ends it at once, unless the function has something to give back
});
if (!process.connected) process.exit(0); // the runner had gone before

await answer(async () => {
  const handler = await loadHandler();
  process.on('message', (invocation: Invocation) => {
    void answer(async () => {
      const result = await handler(JSON.parse(invocation.payload), createContext(invocation));
      return { kind: 'answered', payload: JSON.stringify(result) ?? 'null' };
    });
  });
  return { kind: 'ready' };
});

/** Sends what `work` comes to. */
async function answer(work: () => Promise<Answer>): Promise<void> {
  process.send?.(await work().catch((error): Answer => ({ kind: 'failed', error: describe(error) })));
}

async function loadHandler(): Promise<Handler> {
  const [file = '', name = ''] = (process.env['_HANDLER'] ?? '').split('.');
  const path = join(process.env['LAMBDA_TASK_ROOT'] ?? '', `${file}.mjs`);
  const { [name]: handler } = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  if (typeof handler !== 'function') throw new Error(`${path} does not export a function "${name}"`);
  return handler as Handler;
}

function createContext({ requestId, deadlineMs, arn }: Invocation): object {
  const functionName = process.env['AWS_LAMBDA_FUNCTION_NAME'];
  return {
    awsRequestId: requestId,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: arn,
    memoryLimitInMB: process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'],
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: String(process.pid),
    getRemainingTimeInMillis: () => Math.max(0, deadlineMs - Date.now()),
  };
}

function describe(error: unknown): FunctionError {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error) };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}
