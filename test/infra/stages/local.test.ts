/** As whom the functions of the local stage sign in, by the addresses that it is given. */
import { describe, expect, it } from 'vitest';
import { type LocalContext, localStage } from '../../../infra/stages/local.ts';
import { synthesiseStage } from '../../support/synthesis.ts';

const addresses: LocalContext = {
  redisUrl: 'redis://127.0.0.1:6380',
  databaseUrl: 'postgres://owner:one@127.0.0.1:5433/prewarm',
  pushgatewayUrl: 'http://127.0.0.1:9092',
  jwksUri: 'http://127.0.0.1:3001/jwks',
};
const roleUrls = {
  readerDatabaseUrl: 'postgres://prewarm_reader:two@127.0.0.1:5433/prewarm',
  warmerDatabaseUrl: 'postgres://prewarm_warmer:of%2Fsigns@127.0.0.1:5433/prewarm',
};

/** By the functions' names. */
function environments(context: LocalContext): Record<string, Record<string, string>> {
  const resources = [...synthesiseStage(localStage(context)).values()].flatMap(({ Resources }) =>
    Object.values(Resources),
  );
  const functions = resources.filter(({ Type }) => Type === 'AWS::Lambda::Function');
  return Object.fromEntries(
    functions.map(({ Metadata, Properties }) => {
      const environment = Properties?.['Environment'] as { Variables: Record<string, string> } | undefined;
      return [String(Metadata?.['prewarm:function']), environment?.Variables ?? {}];
    }),
  );
}

describe('the local stage', () => {
  it('gives each function the address of its own user, and the migrations the passwords that are in them', () => {
    const { read, admin, warmer, migrate } = environments({ ...addresses, ...roleUrls });

    expect(read?.['DATABASE_URL']).toBe(roleUrls.readerDatabaseUrl);
    expect(admin?.['DATABASE_URL']).toBe(roleUrls.readerDatabaseUrl);
    expect(warmer?.['DATABASE_URL']).toBe(roleUrls.warmerDatabaseUrl);
    expect(migrate?.['DATABASE_URL']).toBe(addresses.databaseUrl);
    expect(JSON.parse(migrate?.['DATABASE_LOGINS'] ?? '')).toEqual({
      prewarm_reader: 'two',
      prewarm_warmer: 'of/signs',
    });
  });

  it('has all of them sign in by the one address of somebody else’s database, and sets no password there', () => {
    const { read, admin, warmer, migrate } = environments(addresses);

    for (const environment of [read, admin, warmer, migrate]) {
      expect(environment?.['DATABASE_URL']).toBe(addresses.databaseUrl);
      expect(environment).not.toHaveProperty('DATABASE_LOGINS');
    }
  });
});
