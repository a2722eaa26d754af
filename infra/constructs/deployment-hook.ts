/** Starts a warm-up after every deploy: a custom resource whose release id differs at every synthesis. */
import { CustomResource, Duration } from 'aws-cdk-lib';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct, type IDependable } from 'constructs';

export type DeploymentHookProps = {
  readonly handler: IFunction;
  readonly releaseId: string;
  /** What must be in place before the hook runs. */
  readonly after: readonly IDependable[];
};

/** CDK's own `Trigger` runs only when its handler changes; a property that changes runs every time. */
export class DeploymentHook extends Construct {
  constructor(scope: Construct, id: string, { handler, releaseId, after }: DeploymentHookProps) {
    super(scope, id);
    const resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::PrewarmDeploymentHook',
      serviceToken: handler.functionArn,
      serviceTimeout: Duration.minutes(1),
      properties: { ReleaseId: releaseId },
    });
    resource.node.addDependency(...after);
  }
}
