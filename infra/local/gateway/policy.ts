/** Decides by the policy that an authorizer answered whether a method may be called. */
export type PolicyDocument = { readonly Statement: Statement | readonly Statement[] };

type Statement = {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: unknown;
};

/** Whether the policy allows the method. A Deny wins over any Allow; no statement means no. */
export function isAllowed(policy: PolicyDocument, methodArn: string): boolean {
  const matching = [policy.Statement]
    .flat()
    .filter((statement) => applies(statement as Statement, methodArn));
  const effects = matching.map((statement) => (statement as Statement).Effect);
  return effects.includes('Allow') && !effects.includes('Deny');
}

function applies({ Action, Resource, Condition }: Statement, methodArn: string): boolean {
  if (Condition !== undefined) throw new Error('The local runner does not implement conditions in a policy');
  return matchesAny(Action, 'execute-api:Invoke') && matchesAny(Resource, methodArn);
}

function matchesAny(patterns: string | readonly string[], text: string): boolean {
  return [patterns].flat().some((pattern) => toRegExp(String(pattern)).test(text));
}

/** `*` stands for any text, slashes included, and `?` for one character. */
function toRegExp(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'i');
}
