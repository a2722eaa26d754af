/** What tokens open at the edge. */
import { describe, expect, it } from 'vitest';
import { openedBy } from '../../../../shared/http/scopes.ts';

describe('a token opens', () => {
  it('what each of its scopes stands for', () => {
    expect(openedBy('users:read')).toEqual(['GET/users', 'GET/users/*']);
    expect(openedBy('openid cache:admin users:read')).toEqual([
      'GET/admin/*',
      'POST/admin/*',
      'GET/users',
      'GET/users/*',
    ]);
  });

  it.each(['', ' ', 'openid', 'users:write', 'constructor', '*', 'USERS:READ'])(
    'nothing with the scopes %j',
    (scopes) => {
      expect(openedBy(scopes)).toEqual([]);
    },
  );
});
