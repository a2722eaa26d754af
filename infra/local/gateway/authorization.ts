/** Asks the TOKEN authorizer who the caller is, remembers its answer for the TTL, and checks its policy. */

import type { AuthorizerSpec } from '../../assembly/api-spec.ts';
import type { Functions } from '../containers/containers.ts';
import { isAllowed, type PolicyDocument } from './policy.ts';
import type { AuthorizerContext } from './proxy-event.ts';
import { Refusal } from './refusal.ts';

export type Caller = { readonly context: AuthorizerContext; readonly usageKey?: string };

export type Authorize = (
  spec: AuthorizerSpec,
  token: string | undefined,
  methodArn: string,
) => Promise<Caller>;

type AuthorizerAnswer = {
  principalId: string;
  policyDocument: PolicyDocument;
  context?: Record<string, unknown>;
  usageIdentifierKey?: string;
};
type Remembered = { readonly answer: AuthorizerAnswer; readonly expiresAtMs: number };

/** How many tokens are remembered; the oldest goes first. */
const maxRemembered = 1000;

/** @throws Refusal by the answer, when the caller may not pass. */
export function createAuthorization(
  functions: Pick<Functions, 'invoke'>,
  now: () => number = Date.now,
): Authorize {
  const remembered = new Map<string, Remembered>();
  return async (spec, token, methodArn) => {
    if (!token || spec.pattern?.test(token) === false) throw new Refusal('UNAUTHORIZED', 'Unauthorized');
    const answer = recall(remembered, token, now()) ?? (await ask(functions, spec, token, methodArn));
    remember(remembered, token, answer, now() + spec.ttlMs);
    if (!isAllowed(answer.policyDocument, methodArn)) throw new Refusal('ACCESS_DENIED', 'Forbidden');
    return toCaller(answer);
  };
}

function recall(
  remembered: Map<string, Remembered>,
  token: string,
  nowMs: number,
): AuthorizerAnswer | undefined {
  const entry = remembered.get(token);
  return entry && entry.expiresAtMs > nowMs ? entry.answer : undefined;
}

/** Only the first answer sets the end: use does not prolong it. */
function remember(
  remembered: Map<string, Remembered>,
  token: string,
  answer: AuthorizerAnswer,
  expiresAtMs: number,
) {
  if (remembered.get(token)?.answer === answer) return;
  remembered.delete(token);
  remembered.set(token, { answer, expiresAtMs });
  const [oldest] = remembered.keys();
  if (remembered.size > maxRemembered && oldest !== undefined) remembered.delete(oldest);
}

async function ask(
  functions: Pick<Functions, 'invoke'>,
  { functionName }: AuthorizerSpec,
  authorizationToken: string,
  methodArn: string,
): Promise<AuthorizerAnswer> {
  const event = JSON.stringify({ type: 'TOKEN', methodArn, authorizationToken });
  const outcome = await functions.invoke(functionName, event, 'RequestResponse');
  if (outcome?.kind === 'answered') return parseAnswer(outcome.payload);
  const message = outcome?.error.errorMessage ?? `there is no function ${functionName}`;
  // The one error that is an answer: the exact text is API Gateway's contract with authorizers.
  if (message === 'Unauthorized') throw new Refusal('UNAUTHORIZED', message);
  throw new Refusal('AUTHORIZER_FAILURE', `The authorizer failed: ${message}`);
}

function parseAnswer(payload: string): AuthorizerAnswer {
  const answer = JSON.parse(payload) as Partial<AuthorizerAnswer> | null;
  if (!answer?.principalId || !answer.policyDocument?.Statement) {
    throw new Refusal(
      'AUTHORIZER_CONFIGURATION_ERROR',
      'The authorizer answered without principalId or policyDocument',
    );
  }
  return answer as AuthorizerAnswer;
}

/** The context arrives as texts, whatever the authorizer said; objects are refused. */
function toCaller({ principalId, context = {}, usageIdentifierKey }: AuthorizerAnswer): Caller {
  const fields = Object.entries(context).map(([name, value]) => {
    if (typeof value !== 'object') return [name, String(value)] as const;
    throw new Refusal(
      'AUTHORIZER_CONFIGURATION_ERROR',
      `The authorizer's context "${name}" is no plain value`,
    );
  });
  return {
    context: { ...Object.fromEntries(fields), principalId },
    ...(usageIdentifierKey !== undefined && { usageKey: usageIdentifierKey }),
  };
}
