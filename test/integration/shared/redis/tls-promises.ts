/** What the functions do with a server that speaks TLS, whichever kind it is: whom they trust, and whom they do not. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Authority, type Certificate, createAuthority } from '../../../support/certificates.ts';
import { startTlsClient, type TlsClient } from '../../../support/programs/start.ts';

/** With characters that a URL must escape. */
const PASSWORD = 'a+token/of=sixteen';
/** Spread over all servers of a cluster. */
const NAMES = Array.from({ length: 30 }, (_, index) => `name-${index}`);
const VALUES = NAMES.map((_, index) => `value ${index}`);

/** What the client logs of a connection that came to nothing. */
export const REASONS = {
  authority: /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
  name: /ERR_TLS_CERT_ALTNAME_INVALID/,
  password: /WRONGPASS/,
};

type Kind = {
  readonly kind: string;
  /** Answers its URL, by name. */
  readonly start: (certificate: Certificate, password: string) => Promise<string>;
  readonly reasons: Record<keyof typeof REASONS, RegExp>;
};

export function describeTls({ kind, start, reasons }: Kind): void {
  describe(`${kind} that speaks TLS only`, () => {
    let authority: Authority;
    let trusting: TlsClient;
    let url: string;

    beforeAll(async () => {
      authority = createAuthority('Our authority');
      trusting = await startTlsClient(authority);
      url = await start(authority.issue('localhost'), PASSWORD);
    });

    it('is used with its password when its authority is trusted', async () => {
      expect(await trusting.call('askRedis', url, NAMES)).toMatchObject({ answer: VALUES });
    });

    it('is known to be away when its authority is not trusted', async () => {
      const other = await startTlsClient(createAuthority('Another authority'));
      await expectRefusal(other, url, reasons.authority);
    });

    it('is known to be away when it is reached by another name than its certificate is for', async () => {
      const otherName = url.replace('@localhost:', '@127.0.0.1:');
      await expectRefusal(trusting, otherName, reasons.name);
    });

    it('is known to be away when the password is wrong', async () => {
      const wrong = url.replace(encodeURIComponent(PASSWORD), 'wrong');
      await expectRefusal(trusting, wrong, reasons.password);
    });
  });
}

/** The connection has failed by the time of the first command, which does not wait for another. */
async function expectRefusal(client: TlsClient, url: string, reason: RegExp): Promise<void> {
  const loggedBefore = client.output().length;
  const attempt = await client.call('askRedis', url, NAMES);
  expect(attempt).toMatchObject({ error: 'RedisUnavailableError', cause: 'Redis is known not to answer.' });
  await expect.poll(() => client.output().slice(loggedBefore)).toMatch(reason);
}
