/** The behaviour of infra/local/gateway/policy.ts. */
import { describe, expect, it } from 'vitest';
import { isAllowed } from '../../../../../infra/local/gateway/policy.ts';

const arn = 'arn:aws:execute-api:us-east-1:000000000000:Api/live/GET/users/7';

function statement(Effect: 'Allow' | 'Deny', Resource: string | string[], Action = 'execute-api:Invoke') {
  return { Effect, Action, Resource };
}

describe('a policy', () => {
  it.each([
    ['the exact method', statement('Allow', arn)],
    ['the whole API', statement('Allow', 'arn:aws:execute-api:us-east-1:000000000000:Api/live/*')],
    ['one of several resources', statement('Allow', ['nothing', '*/GET/users/?'])],
    ['every action', statement('Allow', '*', '*')],
  ])('allows %s', (_, allowed) => {
    expect(isAllowed({ Statement: [allowed] }, arn)).toBe(true);
    expect(isAllowed({ Statement: allowed }, arn)).toBe(true);
  });

  it.each([
    ['no statement', []],
    ['another method', [statement('Allow', arn.replace('GET', 'POST'))]],
    ['another action', [statement('Allow', arn, 'lambda:InvokeFunction')]],
    ['a longer path', [statement('Allow', arn.slice(0, -1))]],
    ['a dot that is no wildcard', [statement('Allow', arn.replace('users', '.....'))]],
    ['a denial among permissions', [statement('Allow', '*'), statement('Deny', '*/GET/*')]],
  ])('does not allow by %s', (_, Statement) => {
    expect(isAllowed({ Statement }, arn)).toBe(false);
  });

  it('with a condition is an error rather than a guess', () => {
    const conditional = { ...statement('Allow', '*'), Condition: { IpAddress: {} } };

    expect(() => isAllowed({ Statement: conditional }, arn)).toThrow('does not implement conditions');
  });
});
