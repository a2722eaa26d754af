/** A Lambda function with our defaults: one folder of functions/, bundled as ESM for Node 24, with its own role and log group. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, type CfnFunction, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import {
  type FunctionFolder,
  type FunctionName,
  type FunctionSize,
  nameMetadataKey,
} from '../stage-config.ts';
import { bundleCode, type Carried } from './bundled-code.ts';
import type { VpcPlacement } from './connections.ts';

export type NodeFunctionProps = {
  /** Folder under functions/ with `handler.ts`. */
  readonly folder: FunctionFolder;
  /** Where a folder is deployed more than once. @default - as the folder */
  readonly name?: FunctionName;
  readonly functionsDir: string;
  readonly size: FunctionSize;
  /** Another one makes CloudFormation read again what the environment refers to, and publish a version of the function. */
  readonly revision: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly logRetention: RetentionDays;
  /** @default - outside a VPC */
  readonly placement?: VpcPlacement | undefined;
  /** A folder to carry beside the bundle, under its new name. @default - the bundle alone */
  readonly carry?: Carried;
};

/** Names of our files in stack traces; and no warning, as a line that is no JSON, of prom-client's way to read a URL. */
const nodeOptions = '--enable-source-maps --disable-warning=DEP0169';

export class NodeFunction extends LambdaFunction {
  constructor(scope: Construct, id: string, props: NodeFunctionProps) {
    const logGroup = createLogGroup(scope, id, props);
    const { name = props.folder } = props;
    super(scope, id, {
      description: `Prewarm: ${name} (revision ${props.revision})`,
      code: bundleCode(findHandler(props), props.carry),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      timeout: Duration.seconds(props.size.timeoutSeconds),
      memorySize: props.size.memoryMiB,
      ...(props.size.reservedConcurrency && { reservedConcurrentExecutions: props.size.reservedConcurrency }),
      environment: { ...props.environment, NODE_OPTIONS: nodeOptions },
      logGroup,
      role: createRole(scope, id, logGroup, props.placement),
    });
    const resource = this.node.defaultChild as CfnFunction;
    resource.addMetadata(nameMetadataKey, name);
    if (props.placement) place(resource, props.placement);
  }
}

function findHandler({ functionsDir, folder }: NodeFunctionProps): string {
  const entry = join(functionsDir, folder, 'handler.ts');
  if (!existsSync(entry)) throw new Error(`The function "${folder}" has no handler: write ${entry}`);
  return entry;
}

function createLogGroup(scope: Construct, id: string, { logRetention }: NodeFunctionProps): LogGroup {
  return new LogGroup(scope, `${id}Logs`, { retention: logRetention, removalPolicy: RemovalPolicy.DESTROY });
}

/** May write its own log and nothing else; with a VPC, also what Lambda needs to attach the network interface. */
function createRole(scope: Construct, id: string, logGroup: LogGroup, placement?: VpcPlacement): Role {
  const role = new Role(scope, `${id}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
  logGroup.grantWrite(role);
  if (placement) allowNetworkInterfaces(role);
  return role;
}

/** What AWS' policy for functions in a VPC has, without its right to write every log of the account. */
const networkInterfaceActions = [
  'ec2:AssignPrivateIpAddresses',
  'ec2:CreateNetworkInterface',
  'ec2:DeleteNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:UnassignPrivateIpAddresses',
];

function allowNetworkInterfaces(role: Role): void {
  role.addToPolicy(new PolicyStatement({ actions: networkInterfaceActions, resources: ['*'] }));
  Validations.of(role).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'Network interfaces have no name before they exist, and the other actions take no resource.',
  });
}

/** By ids, which is all that Lambda wants: the construct library's own property needs a whole VPC. */
function place(resource: CfnFunction, { subnetIds, securityGroupId }: VpcPlacement): void {
  resource.vpcConfig = { subnetIds: [...subnetIds], securityGroupIds: [securityGroupId] };
}
