/** TLS and a password to a real Redis, and to a real cluster of them: whom the functions trust, and whom they do not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, createAuthority } from '../../../support/certificates.ts';
import { openTlsClients, type TlsClient, type TlsClients } from '../../../support/tls-process.ts';
import { startTlsCluster, startTlsRedis, type TlsServer } from '../../../support/tls-servers.ts';

/** With characters that a URL must escape. */
const PASSWORD = 'a+token/of=sixteen';
/** Spread over all servers of a cluster. */
const NAMES = Array.from({ length: 30 }, (_, index) => `name-${index}`);
const VALUES = NAMES.map((_, index) => `value ${index}`);
/** A wait for the connection of two seconds, and what a busy machine adds. */
const BOUND_MS = 3_000;

let authority: Authority;
let clients: TlsClients;
let trusting: TlsClient;

beforeAll(async () => {
  authority = createAuthority('Our authority');
  clients = await openTlsClients();
  trusting = await clients.start(authority);
});
afterAll(() => clients?.end());

/** What the client logs of a connection that came to nothing. */
const REASONS = {
  authority: /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
  name: /ERR_TLS_CERT_ALTNAME_INVALID/,
  password: /WRONGPASS/,
};
/** Of a cluster ioredis passes on what its servers answered, but not why a certificate was refused. */
const NO_CONNECTION = /"cause":.*Connection is closed/;

describe.each([
  { kind: 'a Redis', start: startTlsRedis, reasons: REASONS },
  {
    kind: 'a cluster',
    start: startTlsCluster,
    reasons: { ...REASONS, authority: NO_CONNECTION, name: NO_CONNECTION },
  },
])('$kind that speaks TLS only', ({ start, reasons }) => {
  let server: TlsServer;

  beforeAll(async () => {
    server = await start(authority.issue('localhost'), PASSWORD);
  });
  afterAll(() => server?.stop());

  it('is used with its password when its authority is trusted', async () => {
    expect(await trusting.call('askRedis', server.url, NAMES)).toMatchObject({ answer: VALUES });
  });

  it('is done without, soon, when its authority is not trusted', async () => {
    const other = await clients.start(createAuthority('Another authority'));
    await expectRefusal(other, server.url, reasons.authority);
  });

  it('is done without, soon, when it is reached by another name than its certificate is for', async () => {
    const otherName = server.url.replace('@localhost:', '@127.0.0.1:');
    await expectRefusal(trusting, otherName, reasons.name);
  });

  it('is done without, soon, when the password is wrong', async () => {
    const wrong = server.url.replace(encodeURIComponent(PASSWORD), 'wrong');
    await expectRefusal(trusting, wrong, reasons.password);
  });
});

async function expectRefusal(client: TlsClient, url: string, reason: RegExp): Promise<void> {
  const loggedBefore = client.output().length;
  const attempt = await client.call('askRedis', url, NAMES);
  expect(attempt).toMatchObject({ error: 'RedisUnavailableError' });
  expect(attempt.tookMs).toBeLessThan(BOUND_MS);
  await expect.poll(() => client.output().slice(loggedBefore)).toMatch(reason);
}
