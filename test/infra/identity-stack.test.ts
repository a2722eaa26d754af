/** What the identity stack deploys, and what the authorizer, in another stack, learns of it. The checks of a deployment run on it too. */
import { Stack } from 'aws-cdk-lib';
import { StringParameter } from 'aws-cdk-lib/aws-ssm';
import { describe, expect, it } from 'vitest';
import type { Issuer } from '../../infra/constructs/connections.ts';
import { deriveKeys } from '../../infra/constructs/usage-plans.ts';
import { IdentityStack } from '../../infra/stacks/identity-stack.ts';
import { issuerEnvironment, usageKeysEnvironment } from '../../infra/stacks/service-environment.ts';
import { scopes } from '../../shared/routes.ts';
import { type Rendered, RenderedStacks } from '../support/rendered-stacks.ts';

const clients = ['default', 'oncall', 'console', 'ci'] as const;

/** Holds the variables of an authorizer, one parameter each. */
class Authorizer extends Stack {
  declare(issuer: Issuer): void {
    const keys = deriveKeys(this.stackName, clients);
    const variables = { ...issuerEnvironment(issuer), ...usageKeysEnvironment(keys, issuer) };
    for (const [parameterName, stringValue] of Object.entries(variables)) {
      new StringParameter(this, parameterName, { parameterName, stringValue });
    }
  }
}

function synthesise(keepData: boolean) {
  const made: { identity: IdentityStack; authorizer: Authorizer }[] = [];
  const rendered = new RenderedStacks((app) => {
    const identity = new IdentityStack(app, 'prewarm-test-identity', { stage: 'test', clients, keepData });
    const authorizer = new Authorizer(app, 'prewarm-test');
    authorizer.declare(identity.issuer);
    made.push({ identity, authorizer });
  });
  const [stacks] = made as [(typeof made)[number]];
  return { ...stacks, rendered };
}

const kept = synthesise(true);
const pool = ({ rendered, identity }: typeof kept) => rendered.resource(identity, 'AWS::Cognito::UserPool');

describe('the user pool', () => {
  it('lets nobody sign up, and asks whom somebody adds by hand for a second factor', () => {
    expect(pool(kept).Properties).toMatchObject({
      AdminCreateUserConfig: { AllowAdminCreateUserOnly: true },
      AccountRecoverySetting: { RecoveryMechanisms: [{ Name: 'admin_only', Priority: 1 }] },
      MfaConfiguration: 'ON',
      EnabledMfas: ['SOFTWARE_TOKEN_MFA'],
      UserPoolTier: 'LITE',
    });
  });

  it.each([
    [true, 'ACTIVE', 'Retain'],
    [false, 'INACTIVE', 'Delete'],
  ])('with data to keep: %s, is protected: %s', (keepData, DeletionProtection, DeletionPolicy) => {
    const { Properties, ...policies } = pool(synthesise(keepData));

    expect(Properties).toMatchObject({ DeletionProtection });
    expect(policies).toMatchObject({ DeletionPolicy, UpdateReplacePolicy: DeletionPolicy });
  });

  it('has the scopes of the API, and a domain that no other account can have', () => {
    const { rendered, identity } = kept;

    expect(rendered.resource(identity, 'AWS::Cognito::UserPoolResourceServer').Properties).toMatchObject({
      Identifier: 'prewarm',
      Scopes: Object.keys(scopes).map((ScopeName) => ({ ScopeName })),
    });
    expect(rendered.resource(identity, 'AWS::Cognito::UserPoolDomain').Properties).toMatchObject({
      Domain: 'prewarm-test-111122223333',
    });
  });

  it('says of which stage it is, so that a role can be limited to it', () => {
    expect(pool(kept).Properties['UserPoolTags']).toEqual({ 'prewarm:stage': 'test' });
  });
});

describe('a client', () => {
  const { rendered, identity } = kept;
  const made = Object.values(rendered.resources(identity, 'AWS::Cognito::UserPoolClient'));
  const byName: Record<string, Rendered> = Object.fromEntries(
    made.map((client) => [client.Properties['ClientName'], client]),
  );

  it('is there for every name of the stage but that of all others', () => {
    expect(Object.keys(byName).sort()).toEqual(['ci', 'console', 'oncall']);
  });

  it.each(['ci', 'console', 'oncall'])(
    '%s gets tokens for an hour by its secret, and lets nobody sign in',
    (name) => {
      expect(byName[name]?.Properties).toMatchObject({
        GenerateSecret: true,
        AllowedOAuthFlows: ['client_credentials'],
        ExplicitAuthFlows: ['ALLOW_REFRESH_TOKEN_AUTH'],
        AccessTokenValidity: 60,
        TokenValidityUnits: { AccessToken: 'minutes' },
      });
      expect(byName[name]?.DeletionPolicy).toBeUndefined();
    },
  );

  it.each([
    ['console', false],
    ['oncall', true],
    ['ci', true],
  ])('%s has all scopes that read; those of another kind: %s', (name, isAdmin) => {
    const allowed = byName[name]?.Properties['AllowedOAuthScopes'] as string[];
    const expected = Object.keys(scopes).filter((scope) => scope.endsWith(':read') || isAdmin);

    expect(expected).toContain('users:read');
    expect(allowed.map((scope) => scope.split('/')[1])).toEqual(expected);
  });
});

describe('the authorizer', () => {
  const { rendered, authorizer } = kept;
  const parameters = Object.values(rendered.resources(authorizer, 'AWS::SSM::Parameter'));
  const environment: Record<string, string> = Object.fromEntries(
    parameters.map(({ Properties: { Name, Value } }) => [Name, Value]),
  );

  it('knows the pool as the issuer, and its clients as those whom tokens are for', () => {
    expect(environment).toMatchObject({
      JWT_ISSUER: 'https://cognito-idp.eu-central-1.AWS::URLSuffix/UserPool',
      JWT_JWKS_URI: 'https://cognito-idp.eu-central-1.AWS::URLSuffix/UserPool/.well-known/jwks.json',
      JWT_AUDIENCE: 'UserPoolClientoncall,UserPoolClientconsole,UserPoolClientci',
      JWT_SCOPE_PREFIX: 'prewarm/',
    });
  });

  it("finds each client's key by the client's id, which only CloudFormation knows", () => {
    expect(JSON.parse(environment['USAGE_KEYS'] ?? '')).toEqual({
      default: expect.stringMatching(/^default-/),
      UserPoolClientoncall: expect.stringMatching(/^oncall-/),
      UserPoolClientconsole: expect.stringMatching(/^console-/),
      UserPoolClientci: expect.stringMatching(/^ci-/),
    });
    expect(rendered.text(authorizer)).not.toContain('Fn::ImportValue');
  });
});

it('the outputs say where tokens are got and by whom, and no secret', () => {
  const { Outputs } = JSON.parse(kept.rendered.text(kept.identity));
  const named = Object.keys(Outputs).filter((name) => !name.startsWith('PublishOutput'));

  expect(named.sort()).toEqual(['ClientIdci', 'ClientIdconsole', 'ClientIdoncall', 'TokenUrl', 'UserPoolId']);
  expect(JSON.stringify(Outputs['TokenUrl'])).toContain('.amazoncognito.com/oauth2/token');
  expect(JSON.stringify(Outputs)).not.toContain('ClientSecret');
});
