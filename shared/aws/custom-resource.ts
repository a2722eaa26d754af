/** Answers CloudFormation's custom resources: a deployment waits for minutes for an answer that does not come, and then fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { log } from '../logger.ts';

export type CustomResourceAnswer =
  | { readonly status: 'SUCCESS'; readonly data?: Readonly<Record<string, string>> }
  | { readonly status: 'FAILED'; readonly reason: string };

/** CloudFormation takes no longer answer, and a failure only with a reason. */
const ANSWER_BYTES_MAX = 4_096;

const TRIES = 3;
/** What keeps an answer from arriving is seldom over at once. */
const PAUSE_MS = 500;
const TIMEOUT_MS = 5_000;

/** Sends the answer; tried again when it does not arrive, because nobody else will. */
export async function answerCustomResource(
  event: CloudFormationCustomResourceEvent,
  physicalResourceId: string,
  answer: CustomResourceAnswer,
): Promise<void> {
  const body = encode({
    Status: answer.status,
    Reason: answer.status === 'FAILED' ? reasonOf(answer.reason) : undefined,
    Data: answer.status === 'SUCCESS' ? answer.data : undefined,
    PhysicalResourceId: physicalResourceId,
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
  });
  for (let tries = 1; ; tries++) {
    try {
      await put(event.ResponseURL, body);
      return;
    } catch (error) {
      log.warn('custom_resource.answer_failed', 'CloudFormation did not take the answer.', { tries, error });
      if (tries === TRIES) throw error;
      await sleep(PAUSE_MS * tries);
    }
  }
}

function reasonOf(reason: string): string {
  return reason.trim() === '' ? 'It failed without saying why; the log of the function may.' : reason;
}

/** The reason is cut to what there is room for: a character may be one byte, or six. */
function encode({
  Reason: reason,
  ...rest
}: Readonly<Record<string, unknown>> & { Reason?: string | undefined }): string {
  let kept = reason?.length ?? 0;
  let text = reason;
  for (;;) {
    const body = JSON.stringify({ Reason: text, ...rest });
    if (kept === 0 || Buffer.byteLength(body) <= ANSWER_BYTES_MAX) return body;
    kept = Math.floor(kept * 0.9);
    text = `${reason?.slice(0, kept).toWellFormed()}…`;
  }
}

async function put(url: string, body: string): Promise<void> {
  const answer = await fetch(url, {
    method: 'PUT',
    // As bytes: a string would add a content type, which the URL's signature does not cover.
    body: Buffer.from(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!answer.ok) throw new Error(`The answer was refused with ${answer.status}.`);
}
