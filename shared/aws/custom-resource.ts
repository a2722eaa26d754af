/** Answers CloudFormation's custom resources: a deployment waits for minutes for an answer that does not come, and then fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { log } from '../logger.ts';

export type CustomResourceAnswer =
  | { readonly status: 'SUCCESS'; readonly data?: Readonly<Record<string, string>> }
  | { readonly status: 'FAILED'; readonly reason: string };

/** CloudFormation takes an answer of 4,096 bytes as a whole, and a failure only with a reason. */
const REASON_LENGTH_MAX = 1_000;

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
  const body = JSON.stringify({
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
      log.warn('CloudFormation did not take the answer.', { tries, error });
      if (tries === TRIES) throw error;
      await sleep(PAUSE_MS * tries);
    }
  }
}

function reasonOf(reason: string): string {
  const text = reason.trim() === '' ? 'It failed without saying why; the log of the function may.' : reason;
  return text.length <= REASON_LENGTH_MAX ? text : `${text.slice(0, REASON_LENGTH_MAX - 1)}…`;
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
