/** What a template has that would behave in an account and does nothing on this machine. */
import type { Resource, Scope } from './intrinsics.ts';

/** Resources that either run here or have no behaviour of their own that a caller could see. */
const knownTypes = [
  /^AWS::Lambda::(Function|Permission|EventInvokeConfig|Version|Alias)$/,
  /^AWS::ApiGateway::(RestApi|Resource|Method|Authorizer|RequestValidator|GatewayResponse|Deployment|Stage|Account)$/,
  /^AWS::ApiGateway::(UsagePlan|UsagePlanKey|ApiKey)$/,
  /^AWS::Events::Rule$/,
  /^AWS::IAM::/,
  /^AWS::Logs::LogGroup$/,
  /^AWS::CloudWatch::Dashboard$/,
  /^AWS::SQS::QueuePolicy$/,
  /^AWS::CDK::Metadata$/,
];

/** Settings of known resources that nothing here heeds. Without a value, or with no retries, there is nothing to heed. */
const ignoredSettings: Readonly<Record<string, string>> = {
  BinaryMediaTypes: 'binary media types',
  DeadLetterConfig: 'dead letters',
  DestinationConfig: 'destinations',
  MaximumEventAgeInSeconds: 'maximum event age',
  MaximumRetryAttempts: 'retries',
  ProvisionedConcurrencyConfig: 'provisioned concurrency',
  RoutingConfig: 'weighted routing',
};

/** For a person to read: `Name (AWS::Type)`, or `Name (AWS::Type): settings` when only these have no effect. */
export function findUnsupported({ resources }: Scope): string[] {
  return Object.entries(resources).flatMap(([id, resource]) => {
    const settings = findSettings(resource.Properties);
    if (!isKnown(resource)) return `${id} (${resource.Type})`;
    return settings.length === 0 ? [] : `${id} (${resource.Type}): ${settings.join(', ')}`;
  });
}

export function isCustom({ Type }: Resource): boolean {
  return Type.startsWith('Custom::') || Type === 'AWS::CloudFormation::CustomResource';
}

function isKnown(resource: Resource): boolean {
  return isCustom(resource) || knownTypes.some((type) => type.test(resource.Type));
}

/** At any depth: a rule has them in its targets. */
function findSettings(properties: Resource['Properties']): string[] {
  const found = new Set<string>();
  JSON.stringify(properties ?? {}, (name, value) => {
    const setting = ignoredSettings[name];
    if (setting !== undefined && value) found.add(setting);
    return value;
  });
  return [...found].sort();
}
