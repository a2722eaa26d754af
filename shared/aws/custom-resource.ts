/** Answers CloudFormation's custom resources: a deployment waits for minutes for an answer that does not come, and then fails. */
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { log } from '../logger.ts';

export type CustomResourceAnswer =
  | { readonly status: 'SUCCESS'; readonly data?: Readonly<Record<string, string>> }
  | { readonly status: 'FAILED'; readonly reason: string };

const TRIES = 3;
const TIMEOUT_MS = 5_000;

/** Sends the answer; tried again when it does not arrive, because nobody else will. */
export async function answerCustomResource(
  event: CloudFormationCustomResourceEvent,
  physicalResourceId: string,
  answer: CustomResourceAnswer,
): Promise<void> {
  const body = JSON.stringify({
    Status: answer.status,
    Reason: answer.status === 'FAILED' ? answer.reason : undefined,
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
    }
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
