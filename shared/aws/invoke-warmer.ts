/** Starts the warmer function, and waits for its report where somebody wants it. */
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { InvocationError } from '../errors.ts';
import type { Trigger, WarmupReport } from '../warming/report.ts';

export type WarmerEvent = { readonly trigger: Trigger; readonly traceId: string };

const START_TIMEOUT_MS = 5_000;

// One try: a second one could start a second warm-up, which would only find the lock taken.
const lambda = new LambdaClient({ maxAttempts: 1 });

/** Starts a warm-up and does not wait for it. Throws `InvocationError`. */
export async function startWarmer(functionName: string, event: WarmerEvent): Promise<void> {
  await invoke(functionName, event, 'Event', START_TIMEOUT_MS);
}

/** Runs a warm-up and answers its report, or undefined when it takes longer than `waitMs`; it goes on then. Throws `InvocationError`. */
export async function runWarmer(
  functionName: string,
  event: WarmerEvent,
  waitMs: number,
): Promise<WarmupReport | undefined> {
  try {
    const payload = await invoke(functionName, event, 'RequestResponse', waitMs);
    return JSON.parse(payload) as WarmupReport;
  } catch (error) {
    const cause = error instanceof InvocationError ? error.cause : undefined;
    if (cause instanceof Error && (cause.name === 'AbortError' || cause.name === 'TimeoutError'))
      return undefined;
    throw error;
  }
}

async function invoke(
  functionName: string,
  event: WarmerEvent,
  kind: 'Event' | 'RequestResponse',
  timeoutMs: number,
): Promise<string> {
  const command = new InvokeCommand({
    FunctionName: functionName,
    InvocationType: kind,
    Payload: JSON.stringify(event),
  });
  try {
    const answer = await lambda.send(command, { abortSignal: AbortSignal.timeout(timeoutMs) });
    const payload = answer.Payload?.transformToString() ?? '';
    if (answer.FunctionError !== undefined) throw new Error(`The function failed: ${payload}`);
    return payload;
  } catch (cause) {
    throw new InvocationError(functionName, { cause });
  }
}
