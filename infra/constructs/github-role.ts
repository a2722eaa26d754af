/** A role that one environment of a GitHub repository may take on, by GitHub's OIDC tokens and without a key that lasts. */
import { Aws, DefaultStackSynthesizer, type Duration } from 'aws-cdk-lib';
import { PolicyStatement, Role, WebIdentityPrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';

export const GITHUB_ISSUER = 'token.actions.githubusercontent.com';
/** Whom GitHub's tokens are for when they are shown to AWS. */
export const GITHUB_AUDIENCE = 'sts.amazonaws.com';

/** Roles that `cdk bootstrap` made in the account. `deploy` hands CloudFormation a role that may do anything. */
type BootstrapRole = 'lookup' | 'deploy' | 'file-publishing' | 'image-publishing';

export type GithubRoleProps = {
  readonly providerArn: string;
  /** As the subject of the repository's tokens has it: `owner/name`, or `owner@id/name@id`. */
  readonly repository: string;
  /** GitHub's environment: who may deploy to it, and from which branch, is set there. */
  readonly environment: string;
  readonly bootstrapRoles: readonly BootstrapRole[];
  readonly maxSession: Duration;
};

export class GithubRole extends Role {
  constructor(scope: Construct, id: string, props: GithubRoleProps) {
    super(scope, id, {
      description: `Prewarm: GitHub's environment ${props.environment}`,
      assumedBy: trustEnvironment(props),
      maxSessionDuration: props.maxSession,
    });
    this.addToPolicy(
      new PolicyStatement({
        actions: ['sts:AssumeRole'],
        resources: props.bootstrapRoles.map(bootstrapRoleArn),
      }),
    );
  }
}

/** Whole subjects are compared: a pattern would let in what merely begins like ours. */
function trustEnvironment({ providerArn, repository, environment }: GithubRoleProps): WebIdentityPrincipal {
  return new WebIdentityPrincipal(providerArn, {
    StringEquals: {
      [`${GITHUB_ISSUER}:aud`]: GITHUB_AUDIENCE,
      [`${GITHUB_ISSUER}:sub`]: `repo:${repository}:environment:${environment}`,
    },
  });
}

function bootstrapRoleArn(role: BootstrapRole): string {
  const name = `cdk-${DefaultStackSynthesizer.DEFAULT_QUALIFIER}-${role}-role-${Aws.ACCOUNT_ID}-${Aws.REGION}`;
  return `arn:${Aws.PARTITION}:iam::${Aws.ACCOUNT_ID}:role/${name}`;
}
