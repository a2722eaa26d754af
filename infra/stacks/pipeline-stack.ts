/** What GitHub's workflows may do in the account of a stage: look, to plan a deployment, and deploy what was approved. */
import { Aws, CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib';
import { OidcProviderNative, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { GITHUB_AUDIENCE, GITHUB_ISSUER, GithubRole } from '../constructs/github-role.ts';
import { STAGE_TAG } from '../constructs/user-pool.ts';

export type PipelineStackProps = {
  readonly stage: string;
  /**
   * As the subject of the repository's tokens has it: `owner/name`, or `owner@id/name@id` for a repository that was made,
   * renamed or moved since July 2026.
   */
  readonly repository: string;
  /** An account has one provider for GitHub at most. @default - a new one */
  readonly providerArn?: string;
};

const REPOSITORY = /^[\w.-]+(@\d+)?\/[\w.-]+(@\d+)?$/;

/** Deployed by hand, once: the pipeline cannot give itself its rights. */
export class PipelineStack extends Stack {
  constructor(scope: Construct, id: string, { stage, repository, providerArn }: PipelineStackProps) {
    super(scope, id, { description: `Prewarm (${stage}): what GitHub's workflows may do` });
    if (!REPOSITORY.test(repository)) {
      throw new Error(`"${repository}" is no repository: write owner/name, or owner@id/name@id`);
    }
    const trusted = { repository, providerArn: providerArn ?? this.#createProvider() };
    this.#createPlanRole(stage, trusted);
    this.#createDeployRole(stage, trusted);
  }

  #createProvider(): string {
    const provider = new OidcProviderNative(this, 'Github', {
      url: `https://${GITHUB_ISSUER}`,
      clientIds: [GITHUB_AUDIENCE],
    });
    return provider.oidcProviderArn;
  }

  #createPlanRole(stage: string, trusted: { repository: string; providerArn: string }): void {
    const { roleArn } = new GithubRole(this, 'PlanRole', {
      ...trusted,
      environment: `${stage}-plan`,
      bootstrapRoles: ['lookup'],
      maxSession: Duration.hours(1),
    });
    new CfnOutput(this, 'PlanRoleArn', { value: roleArn });
  }

  #createDeployRole(stage: string, trusted: { repository: string; providerArn: string }): void {
    const role = new GithubRole(this, 'DeployRole', {
      ...trusted,
      environment: stage,
      bootstrapRoles: ['lookup', 'deploy', 'file-publishing', 'image-publishing'],
      // The first deployment makes databases, which can take more than an hour.
      maxSession: Duration.hours(2),
    });
    allowReadingClients(role, stage);
    new CfnOutput(this, 'DeployRoleArn', { value: role.roleArn });
  }
}

/** The smoke test gets its token with the secret of the client `ci`. The pool may be younger than this stack: hence the tag. */
function allowReadingClients(role: GithubRole, stage: string): void {
  role.addToPolicy(
    new PolicyStatement({
      actions: ['cognito-idp:DescribeUserPoolClient'],
      resources: [`arn:${Aws.PARTITION}:cognito-idp:${Aws.REGION}:${Aws.ACCOUNT_ID}:userpool/*`],
      conditions: { StringEquals: { [`aws:ResourceTag/${STAGE_TAG}`]: stage } },
    }),
  );
  Validations.of(role).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:cognito-idp:<AWS::Region>:<AWS::AccountId>:userpool/*]',
    reason: "The pool's id is not known before the pool is made; its tag limits the role to the stage's own.",
  });
}
