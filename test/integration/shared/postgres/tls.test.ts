/** TLS to a real PostgreSQL: the form of the URL that verifies, whom it lets in, and whom it does not. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Authority, createAuthority } from '../../../support/certificates.ts';
import { startTlsClient, type TlsClient } from '../../../support/programs/start.ts';
import { startTlsPostgres } from '../../../support/tls-servers.ts';

let postgresUrl: string;
let trusting: TlsClient;
let authority: Authority;

beforeAll(async () => {
  authority = createAuthority('Our authority');
  postgresUrl = await startTlsPostgres(authority.issue('localhost'));
  trusting = await startTlsClient(authority);
});

const verified = () => `${postgresUrl}?sslmode=verify-full`;

describe('sslmode=verify-full', () => {
  it('connects through TLS to a server whose authority is trusted', async () => {
    expect(await trusting.call('askPostgres', verified())).toMatchObject({ answer: 'TLSv1.3' });
  });

  it('is the form of which the driver does not warn at every start', async () => {
    await trusting.call('askPostgres', verified());
    expect(await trusting.call('warnings')).toEqual([]);
    await trusting.call('askPostgres', `${postgresUrl}?sslmode=require`);
    expect(await trusting.call('warnings')).toEqual([expect.stringContaining('sslmode=verify-full')]);
  });

  it('refuses a server of an authority that is not trusted', async () => {
    const other = await startTlsClient(createAuthority('Another authority'));
    expect(await other.call('askPostgres', verified())).toMatchObject({
      error: 'DatabaseUnavailableError',
      cause: expect.stringContaining('unable to verify'),
    });
  });

  it('refuses a server that is reached by another name than its certificate is for', async () => {
    const otherName = verified().replace('@localhost:', '@127.0.0.1:');
    expect(await trusting.call('askPostgres', otherName)).toMatchObject({
      error: 'DatabaseUnavailableError',
      cause: expect.stringContaining('does not match certificate'),
    });
  });
});

it('a URL that does not ask for TLS gets none', async () => {
  expect(await trusting.call('askPostgres', postgresUrl)).toMatchObject({ answer: null });
});
