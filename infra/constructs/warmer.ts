/** The warmer: its function, how asynchronous starts of it are handled, and the queue of those that could not start. */
import { Duration, Validations } from 'aws-cdk-lib';
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { NodeFunction, type NodeFunctionProps } from './node-function.ts';

export class Warmer extends Construct {
  readonly function: NodeFunction;
  /** Warm-ups that could not start, for a person to look at. */
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: NodeFunctionProps) {
    super(scope, id);
    this.deadLetters = createDeadLetters(this);
    this.function = new NodeFunction(this, 'Function', props);
    this.function.configureAsyncInvoke({
      retryAttempts: 0, // the warmer retries each step itself
      maxEventAge: Duration.minutes(5), // a warm-up that could not start for so long is left to the next
      onFailure: new SqsDestination(this.deadLetters),
    });
  }

  /** Lets a function start the warmer, and tells it the name. */
  grantStart(caller: LambdaFunction): void {
    caller.addEnvironment('WARMER_FUNCTION_NAME', this.function.functionName);
    caller.addToRolePolicy(
      new PolicyStatement({
        effect: Effect.ALLOW,
        actions: ['lambda:InvokeFunction'],
        resources: [this.function.functionArn],
      }),
    );
  }
}

function createDeadLetters(scope: Construct): Queue {
  const queue = new Queue(scope, 'DeadLetters', { enforceSSL: true, retentionPeriod: Duration.days(14) });
  Validations.of(queue).acknowledge({
    id: 'AwsSolutions-SQS3',
    reason: 'This is the dead letter queue itself.',
  });
  return queue;
}
