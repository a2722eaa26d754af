/** How another stack refers to a secret: by a reference that CloudFormation resolves when it deploys, so no template holds it. */
import { CfnOutput, Fn, Stack } from 'aws-cdk-lib';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';

/**
 * By an output that keeps its name when the secret is another one: a service whose update fails goes back to a reference
 * that is still there.
 */
export function readFromOutside(
  scope: Construct,
  outputId: string,
  secret: Pick<ISecret, 'secretArn'>,
  jsonField = '',
): string {
  const stack = Stack.of(scope);
  const output = new CfnOutput(scope, outputId, { value: secret.secretArn });
  const arn = Fn.getStackOutput(stack.stackName, stack.resolve(output.logicalId));
  return `{{resolve:secretsmanager:${arn}:SecretString:${jsonField}::}}`;
}
