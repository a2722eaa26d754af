/** Reads a cloud assembly: which functions, API, schedules and custom resources the template has, ready to run here. */
import { folderMetadataKey } from '../../stage-config.ts';
import { type ApiSpec, readApi } from './api-spec.ts';
import { readAssembly } from './assembly.ts';
import { type Entry, inOrder } from './dependency-order.ts';
import { physicalId, type Resource, resolveValue, type Scope } from './intrinsics.ts';

export type FunctionSpec = {
  readonly name: string;
  readonly arn: string;
  /** Its folder under functions/, by which people know it. */
  readonly folder: string;
  readonly codeDir: string;
  readonly handler: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  readonly reservedConcurrency?: number;
};

export type ScheduleSpec = {
  readonly expression: string;
  readonly functionName: string;
  readonly input: unknown;
};

export type CustomResourceSpec = {
  readonly logicalId: string;
  readonly type: string;
  readonly functionName: string;
  readonly timeoutMs: number;
  readonly properties: Readonly<Record<string, unknown>>;
};

export type LocalTemplate = {
  readonly stackName: string;
  readonly functions: readonly FunctionSpec[];
  readonly api: ApiSpec;
  readonly schedules: readonly ScheduleSpec[];
  /** In the order in which CloudFormation would create them. */
  readonly customResources: readonly CustomResourceSpec[];
  /** What would behave in an account and does nothing here, for a person to read. */
  readonly unsupported: readonly string[];
};

/** Resources that either run here or have no behaviour of their own that a caller could see. */
const knownTypes = [
  /^AWS::Lambda::(Function|Permission|EventInvokeConfig|Version|Alias)$/,
  /^AWS::ApiGateway::/,
  /^AWS::Events::Rule$/,
  /^AWS::IAM::/,
  /^AWS::Logs::/,
  /^AWS::CloudWatch::/,
  /^AWS::SQS::/,
  /^AWS::CDK::Metadata$/,
];

/** @throws when the assembly cannot be read, or the template uses an intrinsic that is not implemented. */
export function readTemplate(assemblyDir: string): LocalTemplate {
  const { stackName, template, assetPaths } = readAssembly(assemblyDir);
  const scope: Scope = {
    stackName,
    resources: template.Resources,
    parameters: parameterDefaults(template.Parameters),
  };
  const resources = Object.entries(template.Resources);
  return {
    stackName,
    functions: ofType(resources, 'AWS::Lambda::Function').map(([id, resource]) =>
      readFunction(id, resource, scope, assetPaths),
    ),
    api: readApi(scope),
    schedules: ofType(resources, 'AWS::Events::Rule').flatMap(([, rule]) => readRule(rule, scope)),
    customResources: inOrder(scope)
      .filter(isCustom)
      .map(([id, resource]) => readCustomResource(id, resource, scope)),
    unsupported: resources.filter(isUnknown).map(([id, { Type }]) => `${id} (${Type})`),
  };
}

function ofType(resources: readonly Entry[], type: string): readonly Entry[] {
  return resources.filter(([, resource]) => resource.Type === type);
}

function isCustom([, { Type }]: Entry): boolean {
  return Type.startsWith('Custom::') || Type === 'AWS::CloudFormation::CustomResource';
}

function isUnknown(entry: Entry): boolean {
  return !isCustom(entry) && !knownTypes.some((type) => type.test(entry[1].Type));
}

function parameterDefaults(
  parameters: Readonly<Record<string, { Default?: unknown }>> = {},
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).map(([name, { Default }]) => [name, Default]));
}

function readFunction(
  id: string,
  resource: Resource,
  scope: Scope,
  assetPaths: ReadonlyMap<string, string>,
): FunctionSpec {
  const properties = resolveValue(resource.Properties ?? {}, scope) as FunctionProperties;
  const codeDir = assetPaths.get(properties.Code.S3Key ?? '');
  if (!codeDir) throw new Error(`The function ${id} has no bundle in the assembly`);
  const name = physicalId(id, scope);
  return {
    name,
    arn: String(resolveValue({ 'Fn::GetAtt': [id, 'Arn'] }, scope)),
    folder: String(resource.Metadata?.[folderMetadataKey] ?? id),
    codeDir,
    handler: properties.Handler,
    environment: properties.Environment?.Variables ?? {},
    timeoutMs: Number(properties.Timeout ?? 3) * 1000,
    memoryMiB: Number(properties.MemorySize ?? 128),
    ...(properties.ReservedConcurrentExecutions !== undefined && {
      reservedConcurrency: properties.ReservedConcurrentExecutions,
    }),
  };
}

type FunctionProperties = {
  Code: { S3Key?: string };
  Handler: string;
  Environment?: { Variables?: Record<string, string> };
  Timeout?: number;
  MemorySize?: number;
  ReservedConcurrentExecutions?: number;
};

function readRule(rule: Resource, scope: Scope): ScheduleSpec[] {
  const { ScheduleExpression, State, Targets } = resolveValue(rule.Properties ?? {}, scope) as RuleProperties;
  if (ScheduleExpression === undefined || State === 'DISABLED') return [];
  return (Targets ?? []).map(({ Arn, Input }) => ({
    expression: ScheduleExpression,
    functionName: nameFromArn(Arn),
    input: Input === undefined ? {} : JSON.parse(Input),
  }));
}

type RuleProperties = {
  ScheduleExpression?: string;
  State?: string;
  Targets?: { Arn: string; Input?: string }[];
};

function readCustomResource(logicalId: string, resource: Resource, scope: Scope): CustomResourceSpec {
  const properties = resolveValue(resource.Properties ?? {}, scope) as Record<string, unknown>;
  return {
    logicalId,
    type: resource.Type,
    functionName: nameFromArn(String(properties['ServiceToken'])),
    timeoutMs: Number(properties['ServiceTimeout'] ?? 3600) * 1000,
    properties,
  };
}

function nameFromArn(arn: string): string {
  const name = /:function:([^:/]+)/.exec(arn)?.[1];
  if (!name) throw new Error(`${arn} is not a function: the local runner invokes nothing else`);
  return name;
}
