/** The alias that a function's traffic goes to: moved to new code step by step, and back when an alarm goes off. */
import { Validations } from 'aws-cdk-lib';
import type { IAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import {
  type ILambdaDeploymentConfig,
  LambdaApplication,
  LambdaDeploymentConfig,
  LambdaDeploymentGroup,
} from 'aws-cdk-lib/aws-codedeploy';
import { Alias, type IVersion } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import type { FunctionSize, Rollout } from '../stage-config.ts';
import type { NodeFunction } from './node-function.ts';

export type LiveAliasProps = {
  readonly function: NodeFunction;
  readonly provisionedConcurrency?: FunctionSize['provisionedConcurrency'];
};

const deploymentConfigs: Readonly<Record<Rollout, ILambdaDeploymentConfig>> = {
  'canary-10-percent-5-minutes': LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES,
  'linear-10-percent-every-minute': LambdaDeploymentConfig.LINEAR_10PERCENT_EVERY_1MINUTE,
  'all-at-once': LambdaDeploymentConfig.ALL_AT_ONCE,
};

export class LiveAlias extends Alias {
  constructor(scope: Construct, id: string, { function: target, provisionedConcurrency }: LiveAliasProps) {
    super(scope, id, {
      aliasName: 'live',
      version: target.currentVersion as IVersion, // its optional role may be undefined, which the interface's may not
      ...(provisionedConcurrency && { provisionedConcurrentExecutions: provisionedConcurrency }),
    });
  }
}

export type RolloutsProps = {
  readonly rollout: Rollout;
  readonly alarms: readonly IAlarm[];
  /** CodeDeploy begins nothing while one of the alarms is on: not even what would end it. @default false */
  readonly ignoreAlarms?: boolean | undefined;
};

/** How a stack's aliases move to new code. */
export class Rollouts extends Construct {
  constructor(
    scope: Construct,
    id: string,
    props: RolloutsProps & { readonly aliases: readonly LiveAlias[] },
  ) {
    super(scope, id);
    const application = new LambdaApplication(this, 'Application');
    for (const alias of props.aliases) this.#add(application, alias, props);
  }

  #add(
    application: LambdaApplication,
    alias: LiveAlias,
    { rollout, alarms, ignoreAlarms = false }: RolloutsProps,
  ): void {
    const group = new LambdaDeploymentGroup(this, `${alias.lambda.node.id}Group`, {
      application,
      alias,
      deploymentConfig: deploymentConfigs[rollout],
      alarms: [...alarms],
      ignoreAlarmConfiguration: ignoreAlarms,
      autoRollback: { deploymentInAlarm: true, failedDeployment: true, stoppedDeployment: true },
    });
    Validations.of(group.role).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]',
      reason:
        'The smallest policy that AWS keeps for CodeDeploy and Lambda; the names of its deployments are not known before.',
    });
  }
}
