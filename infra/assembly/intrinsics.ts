/** Resolves CloudFormation's intrinsic functions as far as the local runner needs them; says so of any other. */
export type Resource = {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly Metadata?: Record<string, unknown>;
  readonly DependsOn?: string | readonly string[];
};

export type Scope = {
  readonly stackName: string;
  readonly resources: Readonly<Record<string, Resource>>;
  readonly parameters: Readonly<Record<string, unknown>>;
};

/** The account and the region that everything on this machine says it is in. */
export const localRegion = 'us-east-1';
export const localAccount = '000000000000';

/** A value with every intrinsic replaced. @throws when one is not implemented or refers to nothing. */
export function resolveValue(value: unknown, scope: Scope): unknown {
  if (Array.isArray(value))
    return value.map((item) => resolveValue(item, scope)).filter((item) => item !== undefined);
  if (value === null || typeof value !== 'object') return value;
  const [name, argument] = Object.entries(value)[0] ?? [];
  if (name !== undefined && isIntrinsic(value, name)) return resolveIntrinsic(name, argument, scope);
  return resolveFields(value, scope);
}

function isIntrinsic(value: object, name: string): boolean {
  return Object.keys(value).length === 1 && (name === 'Ref' || name.startsWith('Fn::'));
}

function resolveFields(value: object, scope: Scope): Record<string, unknown> {
  const fields = Object.entries(value).map(([name, field]) => [name, resolveValue(field, scope)] as const);
  return Object.fromEntries(fields.filter(([, field]) => field !== undefined)); // AWS::NoValue leaves the field out
}

function resolveIntrinsic(name: string, argument: unknown, scope: Scope): unknown {
  switch (name) {
    case 'Ref':
      return resolveRef(String(argument), scope);
    case 'Fn::GetAtt':
      return resolveGetAtt(argument, scope);
    case 'Fn::Sub':
      return resolveSub(argument, scope);
    case 'Fn::Join':
      return join(resolveList(argument, scope));
    case 'Fn::Split':
      return split(resolveList(argument, scope));
    case 'Fn::Select':
      return select(resolveList(argument, scope));
    default:
      throw new Error(`The local runner does not implement ${name}`);
  }
}

function resolveRef(name: string, scope: Scope): unknown {
  if (name === 'AWS::NoValue') return undefined;
  const pseudo = pseudoParameters(scope)[name];
  if (pseudo !== undefined) return pseudo;
  if (name in scope.parameters) return scope.parameters[name];
  return physicalId(name, scope);
}

function pseudoParameters({ stackName }: Scope): Record<string, string> {
  return {
    'AWS::AccountId': localAccount,
    'AWS::Partition': 'aws',
    'AWS::Region': localRegion,
    'AWS::StackId': `arn:aws:cloudformation:${localRegion}:${localAccount}:stack/${stackName}/local`,
    'AWS::StackName': stackName,
    'AWS::URLSuffix': 'amazonaws.com',
  };
}

/** What CloudFormation would call a resource: functions by stack and logical id, their versions and aliases by ARN, a stage by its own name. */
export function physicalId(logicalId: string, scope: Scope): string {
  const resource = scope.resources[logicalId];
  if (!resource) throw new Error(`The template refers to "${logicalId}", which it does not have`);
  switch (resource.Type) {
    case 'AWS::Lambda::Function':
      return functionName(logicalId, resource, scope);
    case 'AWS::Lambda::Version':
      return qualifiedArn(resource, versionNumber, scope);
    case 'AWS::Lambda::Alias':
      return qualifiedArn(resource, String(resource.Properties?.['Name']), scope);
    case 'AWS::ApiGateway::Stage':
      return String(resource.Properties?.['StageName']);
    default:
      return logicalId;
  }
}

/** Nothing is deployed twice here, so every version is a function's first. */
const versionNumber = '1';

function qualifiedArn({ Properties }: Resource, qualifier: string, scope: Scope): string {
  const name = resolveValue(Properties?.['FunctionName'], scope);
  return `${arnOf('lambda', String(name))}:${qualifier}`;
}

function arnOf(service: string, name: string): string {
  return `arn:aws:${service}:${localRegion}:${localAccount}:function:${name}`;
}

function functionName(logicalId: string, resource: Resource, scope: Scope): string {
  const given = resource.Properties?.['FunctionName'];
  return typeof given === 'string' ? given : `${scope.stackName}-${logicalId}`;
}

function resolveGetAtt(argument: unknown, scope: Scope): string {
  const [logicalId = '', attribute = ''] = Array.isArray(argument)
    ? argument.map(String)
    : String(argument).split('.');
  const id = physicalId(logicalId, scope);
  const type = scope.resources[logicalId]?.Type;
  if (type === 'AWS::Lambda::Version' && attribute === 'Version') return versionNumber;
  if (attribute !== 'Arn') return `${id}.${attribute}`;
  return arnOf(type === 'AWS::Lambda::Function' ? 'lambda' : 'local', id);
}

function resolveSub(argument: unknown, scope: Scope): string {
  const [text, variables] = Array.isArray(argument) ? argument : [argument, {}];
  const given = resolveValue(variables, scope) as Record<string, unknown>;
  return String(text).replace(/\$\{(!?)([^}]+)\}/g, (_, literal, name: string) =>
    literal ? `\${${name}}` : String(name in given ? given[name] : resolveName(name, scope)),
  );
}

function resolveName(name: string, scope: Scope): unknown {
  return name.includes('.') ? resolveGetAtt(name, scope) : resolveRef(name, scope);
}

function resolveList(argument: unknown, scope: Scope): readonly [unknown, unknown] {
  const resolved = resolveValue(argument, scope);
  if (!Array.isArray(resolved) || resolved.length !== 2)
    throw new Error('An intrinsic function lacks an argument');
  return [resolved[0], resolved[1]];
}

function join([separator, parts]: readonly [unknown, unknown]): string {
  return (parts as unknown[]).join(String(separator));
}

function split([separator, text]: readonly [unknown, unknown]): string[] {
  return String(text).split(String(separator));
}

function select([index, values]: readonly [unknown, unknown]): unknown {
  const value = (values as unknown[])[Number(index)];
  if (value === undefined) throw new Error(`Fn::Select: there is no item ${String(index)}`);
  return value;
}
