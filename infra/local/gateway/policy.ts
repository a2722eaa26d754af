/** Decides by the policy that an authorizer answered whether a method may be called. */
export type PolicyDocument = { readonly Statement: Statement | readonly Statement[] };

type Statement = {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: unknown;
};

/** Whether the policy allows the method. A Deny wins over any Allow; no statement means no. */
export function isAllowed({ Statement }: PolicyDocument, methodArn: string): boolean {
  const statements: readonly Statement[] = 'Effect' in Statement ? [Statement] : Statement;
  const matching = statements.filter(({ Action, Resource, Condition }) => {
    if (Condition !== undefined)
      throw new Error('The local runner does not implement conditions in a policy');
    return matchesAny(Action, 'execute-api:Invoke') && matchesAny(Resource, methodArn);
  });
  return matching.length > 0 && matching.every(({ Effect }) => Effect === 'Allow');
}

/** `*` stands for any text, slashes included, and `?` for one character. */
function matchesAny(patterns: string | readonly string[], text: string): boolean {
  return [patterns].flat().some((pattern) => {
    const escaped = String(pattern).replace(/[.+^${}()|[\]\\]/g, '\\$&');
    return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'i').test(text);
  });
}
