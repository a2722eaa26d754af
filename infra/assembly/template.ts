/** Reads a cloud assembly: which functions, API, schedules and custom resources the template has, ready to run here. */
import { nameMetadataKey } from '../stage-config.ts';
import { type ApiSpec, readApi } from './api-spec.ts';
import { readAssembly } from './assembly.ts';
import { inOrder } from './dependency-order.ts';
import { physicalId, type Resource, resolveValue, type Scope } from './intrinsics.ts';
import { functionNameOf, type Listed, listOf, propertiesOf } from './resources.ts';
import { findUnsupported, isCustom } from './unsupported.ts';

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

/** @throws when the assembly cannot be read, or the template uses an intrinsic that is not implemented. */
export function readTemplate(assemblyDir: string): LocalTemplate {
  const { stackName, template, assetPaths } = readAssembly(assemblyDir);
  const scope: Scope = {
    stackName,
    resources: template.Resources,
    parameters: parameterDefaults(template.Parameters),
  };
  return {
    stackName,
    functions: listOf(scope, 'AWS::Lambda::Function').map((listed) =>
      readFunction(listed, scope, assetPaths),
    ),
    api: readApi(scope),
    schedules: listOf(scope, 'AWS::Events::Rule').flatMap(readRule),
    customResources: inOrder(scope)
      .filter(([, resource]) => isCustom(resource))
      .map(([id, resource]) => readCustomResource(id, resource, scope)),
    unsupported: findUnsupported(scope),
  };
}

function parameterDefaults(
  parameters: Readonly<Record<string, { Default?: unknown }>> = {},
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).map(([name, { Default }]) => [name, Default]));
}

function readFunction(listed: Listed, scope: Scope, assetPaths: ReadonlyMap<string, string>): FunctionSpec {
  const { id } = listed;
  const properties = listed.properties as FunctionProperties;
  const codeDir = assetPaths.get(properties.Code.S3Key ?? '');
  if (!codeDir) throw new Error(`The function ${id} has no bundle in the assembly`);
  const name = physicalId(id, scope);
  return {
    name,
    arn: String(resolveValue({ 'Fn::GetAtt': [id, 'Arn'] }, scope)),
    folder: String(scope.resources[id]?.Metadata?.[nameMetadataKey] ?? id),
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

function readRule({ properties }: Listed): ScheduleSpec[] {
  const { ScheduleExpression, State, Targets } = properties as RuleProperties;
  if (ScheduleExpression === undefined || State === 'DISABLED') return [];
  return (Targets ?? []).map(({ Arn, Input }) => ({
    expression: ScheduleExpression,
    functionName: functionNameOf(Arn),
    input: Input === undefined ? {} : JSON.parse(Input),
  }));
}

type RuleProperties = {
  ScheduleExpression?: string;
  State?: string;
  Targets?: { Arn: string; Input?: string }[];
};

function readCustomResource(logicalId: string, resource: Resource, scope: Scope): CustomResourceSpec {
  const properties = propertiesOf(resource, scope);
  return {
    logicalId,
    type: resource.Type,
    functionName: functionNameOf(String(properties['ServiceToken'])),
    properties,
  };
}
