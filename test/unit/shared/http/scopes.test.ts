/** What tokens open at the edge. */
import { describe, expect, it } from 'vitest';
import { openedBy } from '../../../../shared/http/scopes.ts';

describe('a token opens', () => {
  const read = ['GET/users', 'GET/users/*', 'GET/users/search'];
  const administer = ['GET/admin/status', 'POST/admin/warm-up', 'POST/admin/clear'];

  it('the routes that ask for one of its scopes, and no others', () => {
    expect(openedBy('users:read')).toEqual(expect.arrayContaining(read));
    expect(openedBy('cache:admin')).toEqual(expect.arrayContaining(administer));
    for (const path of [...read, 'GET/health']) expect(openedBy('cache:admin')).not.toContain(path);
    for (const path of [...administer, 'GET/health']) expect(openedBy('users:read')).not.toContain(path);
    expect(openedBy('openid cache:admin users:read')).toEqual([
      ...openedBy('cache:admin'),
      ...openedBy('users:read'),
    ]);
  });

  it.each(['', ' ', 'openid', 'users:write', 'constructor', '*', 'USERS:READ'])(
    'nothing with the scopes %j',
    (scopes) => {
      expect(openedBy(scopes)).toEqual([]);
    },
  );
});
