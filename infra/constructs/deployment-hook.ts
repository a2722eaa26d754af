/** Starts a warm-up after every deploy: a custom resource whose release id differs at every synthesis. */
import { CustomResource, Duration } from 'aws-cdk-lib';
import { Construct, type IDependable } from 'constructs';
import type { NodeFunction } from './node-function.ts';

export type DeploymentHookProps = {
  readonly handler: NodeFunction;
  readonly releaseId: string;
  /** What must be in place before the hook runs. */
  readonly after: readonly IDependable[];
};

/** CDK's own `Trigger` runs only when its handler changes; a property that changes runs every time. */
export class DeploymentHook extends Construct {
  readonly handler: NodeFunction;
  /** Under which the warm-up that it started runs. */
  readonly traceId: string;

  constructor(scope: Construct, id: string, { handler, releaseId, after }: DeploymentHookProps) {
    super(scope, id);
    const resource = new CustomResource(this, 'Resource', {
      resourceType: 'Custom::PrewarmDeploymentHook',
      serviceToken: handler.functionArn,
      serviceTimeout: Duration.minutes(1),
      properties: { ReleaseId: releaseId },
    });
    resource.node.addDependency(...after);
    this.handler = handler;
    this.traceId = resource.getAttString('TraceId');
  }
}
