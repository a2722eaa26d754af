/** Asks the TOKEN authorizer who the caller is, remembers its answer for the TTL, and checks its policy. */
import { LRUCache } from 'lru-cache';
import type { AuthorizerSpec } from '../../assembly/api-spec.ts';
import type { Functions } from '../containers/containers.ts';
import { isAllowed, type PolicyDocument } from './policy.ts';
import type { AuthorizerContext } from './proxy-event.ts';
import { Refusal } from './refusal.ts';

export type Caller = { readonly context: AuthorizerContext; readonly usageKey?: string | undefined };

export type Authorize = ReturnType<typeof createAuthorization>;

type AuthorizerAnswer = {
  principalId: string;
  policyDocument: PolicyDocument;
  context?: Record<string, unknown>;
  usageIdentifierKey?: string;
};

/** How many tokens are remembered. */
const maxRemembered = 1000;

/** @throws Refusal by the answer, when the caller may not pass. */
export function createAuthorization(functions: Pick<Functions, 'invoke'>) {
  const remembered = new LRUCache<string, AuthorizerAnswer>({ max: maxRemembered });
  return async (spec: AuthorizerSpec, token: string | undefined, methodArn: string): Promise<Caller> => {
    if (!token || spec.pattern?.test(token) === false) throw new Refusal('UNAUTHORIZED', 'Unauthorized');
    const known = remembered.get(token);
    const answer = known ?? (await ask(functions, spec, token, methodArn));
    // Only the first answer sets the end: use does not prolong it. A TTL of 0 means none to LRUCache.
    if (!known && spec.ttlMs > 0) remembered.set(token, answer, { ttl: spec.ttlMs });
    if (!isAllowed(answer.policyDocument, methodArn)) throw new Refusal('ACCESS_DENIED', 'Forbidden');
    return toCaller(answer);
  };
}

async function ask(
  functions: Pick<Functions, 'invoke'>,
  { functionName }: AuthorizerSpec,
  authorizationToken: string,
  methodArn: string,
): Promise<AuthorizerAnswer> {
  const event = JSON.stringify({ type: 'TOKEN', methodArn, authorizationToken });
  const outcome = await functions.invoke(functionName, event, 'RequestResponse');
  if (outcome?.kind === 'answered') {
    const answer = JSON.parse(outcome.payload) as Partial<AuthorizerAnswer> | null;
    if (!answer?.principalId || !answer.policyDocument?.Statement)
      throw misconfigured('The authorizer answered without principalId or policyDocument');
    return answer as AuthorizerAnswer;
  }
  const message = outcome?.error.errorMessage ?? `there is no function ${functionName}`;
  // The one error that is an answer: the exact text is API Gateway's contract with authorizers.
  if (message === 'Unauthorized') throw new Refusal('UNAUTHORIZED', message);
  throw new Refusal('AUTHORIZER_FAILURE', `The authorizer failed: ${message}`);
}

/** The context arrives as texts, whatever the authorizer said; objects are refused. */
function toCaller({ principalId, context = {}, usageIdentifierKey }: AuthorizerAnswer): Caller {
  const fields = Object.entries(context).map(([name, value]) => {
    if (typeof value !== 'object') return [name, String(value)] as const;
    throw misconfigured(`The authorizer's context "${name}" is no plain value`);
  });
  return { context: { ...Object.fromEntries(fields), principalId }, usageKey: usageIdentifierKey };
}

function misconfigured(message: string): Refusal {
  return new Refusal('AUTHORIZER_CONFIGURATION_ERROR', message);
}
