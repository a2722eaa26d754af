/** Starts the warmer function, and waits for its report where somebody wants it. */
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { InvocationError } from '../errors.ts';
import type { Trigger, WarmupReport } from '../warming/report.ts';

export type WarmerEvent = { readonly trigger: Trigger; readonly traceId: string };

const START_TIMEOUT_MS = 5_000;

// A second try, because a connection that was kept over a freeze may be dead. If the first one arrived all the same, the
// second warm-up finds its own traceId in the lock.
const lambda = new LambdaClient({ maxAttempts: 2 });

/** Starts a warm-up and does not wait for it. Throws `InvocationError`. */
export async function startWarmer(functionName: string, event: WarmerEvent): Promise<void> {
  await invoke(functionName, event, 'Event', AbortSignal.timeout(START_TIMEOUT_MS));
}

/** Runs a warm-up and answers its report, or undefined when it takes longer than `waitMs`; it goes on then. Throws `InvocationError`. */
export async function runWarmer(
  functionName: string,
  event: WarmerEvent,
  waitMs: number,
): Promise<WarmupReport | undefined> {
  const deadline = AbortSignal.timeout(waitMs);
  try {
    return JSON.parse(await invoke(functionName, event, 'RequestResponse', deadline)) as WarmupReport;
  } catch (error) {
    if (deadline.aborted) return undefined;
    throw error;
  }
}

async function invoke(
  functionName: string,
  event: WarmerEvent,
  kind: 'Event' | 'RequestResponse',
  abortSignal: AbortSignal,
): Promise<string> {
  const command = new InvokeCommand({
    FunctionName: functionName,
    InvocationType: kind,
    Payload: JSON.stringify(event),
  });
  try {
    const answer = await lambda.send(command, { abortSignal });
    const payload = answer.Payload?.transformToString() ?? '';
    if (answer.FunctionError !== undefined) throw new Error(`The function failed: ${payload}`);
    return payload;
  } catch (cause) {
    throw new InvocationError(functionName, { cause });
  }
}
