/** IAM tokens are what the AWS SDK's own signer makes at the same moment. */
import { Signer } from '@aws-sdk/rds-signer';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createIamToken, type Destination, type Role } from '../../../../shared/postgres/iam-token.ts';

const destination = { host: 'prewarm.proxy-abc.eu-west-1.rds.amazonaws.com', port: 5432, user: 'prewarm' };
const lasting = { region: 'eu-west-1', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret/with+signs=' };
const role = { ...lasting, accessKeyId: 'ASIAEXAMPLE', sessionToken: 'token/with+signs==' };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-22T20:00:00.123Z') });
});
afterEach(() => {
  vi.useRealTimers();
});

function signedBySdk({ host, port, user }: Destination, { region, ...credentials }: Role): Promise<string> {
  return new Signer({ hostname: host, port, username: user, region, credentials }).getAuthToken();
}

/** The address, and the fields as they are written. Their order means nothing: the signature is over the sorted ones. */
function partsOf(token: string): [string, string[]] {
  const [address = '', fields = ''] = token.split('?');
  return [address, fields.split('&').sort()];
}

describe('an IAM token', () => {
  it.each<[string, Destination, Role]>([
    ['for a role', destination, role],
    ['for credentials that do not expire', destination, lasting],
    ['for a user whose name must be escaped', { ...destination, user: "o'ne & two+three@é" }, role],
    ['for another port', { ...destination, port: 6543 }, role],
    ['for another region', destination, { ...role, region: 'us-east-1' }],
  ])("%s is the SDK's", async (_, to, as) => {
    expect(partsOf(createIamToken(to, as))).toEqual(partsOf(await signedBySdk(to, as)));
  });
});
