/** What GitHub's workflows may do in an account: whom the roles trust, and what they allow. */
import { describe, expect, it } from 'vitest';
import { PipelineStack, type PipelineStackProps } from '../../infra/stacks/pipeline-stack.ts';
import { RenderedStacks } from '../support/rendered-stacks.ts';

function synthesise(props: Partial<PipelineStackProps> = {}) {
  const made: PipelineStack[] = [];
  const rendered = new RenderedStacks((app) => {
    made.push(
      new PipelineStack(app, 'prewarm-test-pipeline', { stage: 'test', repository: 'shop/cache', ...props }),
    );
  });
  const [stack] = made as [PipelineStack];
  return (type: string) => rendered.resources(stack, type);
}

const resources = synthesise();
const bootstrapRole = (name: string) =>
  `arn:aws:iam::111122223333:role/cdk-hnb659fds-${name}-role-111122223333-eu-central-1`;

describe.each([
  ['PlanRole', 'test-plan'],
  ['DeployRole', 'test'],
])('the %s', (id, environment) => {
  it('trusts one environment of one repository, and tokens that are meant for AWS', () => {
    expect(resources('AWS::IAM::Role')[id]?.Properties['AssumeRolePolicyDocument'].Statement).toEqual([
      {
        Effect: 'Allow',
        Action: 'sts:AssumeRoleWithWebIdentity',
        Principal: { Federated: 'Github' },
        Condition: {
          StringEquals: {
            'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com',
            'token.actions.githubusercontent.com:sub': `repo:shop/cache:environment:${environment}`,
          },
        },
      },
    ]);
  });

  it('has no policy of AWS', () => {
    expect(resources('AWS::IAM::Role')[id]?.Properties).not.toHaveProperty('ManagedPolicyArns');
  });
});

describe('a role allows', () => {
  const statements = (id: string) =>
    resources('AWS::IAM::Policy')[`${id}DefaultPolicy`]?.Properties['PolicyDocument'].Statement;

  it('to plan: nothing but to look', () => {
    expect(statements('PlanRole')).toEqual([
      { Effect: 'Allow', Action: 'sts:AssumeRole', Resource: bootstrapRole('lookup') },
    ]);
  });

  it("to deploy: what CDK's own roles may, and to read the clients of this stage's pool", () => {
    expect(statements('DeployRole')).toEqual([
      {
        Effect: 'Allow',
        Action: 'sts:AssumeRole',
        Resource: ['deploy', 'file-publishing', 'image-publishing', 'lookup'].map(bootstrapRole),
      },
      {
        Effect: 'Allow',
        Action: 'cognito-idp:DescribeUserPoolClient',
        Resource: 'arn:aws:cognito-idp:eu-central-1:111122223333:userpool/*',
        Condition: { StringEquals: { 'aws:ResourceTag/prewarm:stage': 'test' } },
      },
    ]);
  });
});

describe('the provider of an account', () => {
  it('is made for GitHub', () => {
    expect(Object.values(resources('AWS::IAM::OIDCProvider'))).toMatchObject([
      {
        Properties: {
          Url: 'https://token.actions.githubusercontent.com',
          ClientIdList: ['sts.amazonaws.com'],
        },
      },
    ]);
  });

  it('is not made again where there is one', () => {
    const providerArn = 'arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com';
    const adopted = synthesise({ providerArn });
    const role = adopted('AWS::IAM::Role')['DeployRole'];
    const trust = role?.Properties['AssumeRolePolicyDocument'].Statement;

    expect(adopted('AWS::IAM::OIDCProvider')).toEqual({});
    expect(trust).toMatchObject([{ Principal: { Federated: providerArn } }]);
  });
});

describe('the repository', () => {
  it('may carry the ids that GitHub puts into the subjects of new repositories', () => {
    const roles = synthesise({ repository: 'shop@12/cache@345' })('AWS::IAM::Role');

    expect(JSON.stringify(roles)).toContain('repo:shop@12/cache@345:environment:test-plan');
  });

  it.each(['shop', 'shop/*', 'shop/cache:ref:refs/heads/main', '*/cache', ''])(
    '"%s" is none',
    (repository) => {
      expect(() => synthesise({ repository })).toThrow(`"${repository}" is no repository: write owner/name`);
    },
  );
});
