/** What the template says about limits: usage plans with their keys, throttles and quotas, and the stage's own throttles. */
import type { Scope } from './intrinsics.ts';
import { type Listed, listOf, type Properties, propertiesOf } from './resources.ts';

export type ThrottleSpec = { readonly ratePerSecond: number; readonly burst: number };
export type QuotaSpec = { readonly limit: number; readonly period: 'DAY' | 'WEEK' | 'MONTH' };

export type UsagePlanSpec = {
  readonly keys: readonly string[];
  readonly throttle?: ThrottleSpec;
  /** By `/path/METHOD`. */
  readonly methodThrottles: ReadonlyMap<string, ThrottleSpec>;
  readonly quota?: QuotaSpec;
};

export function readUsagePlan({ id, properties }: Listed, scope: Scope): UsagePlanSpec {
  const [stage] = (properties['ApiStages'] ?? []) as { Throttle?: Record<string, Properties> }[];
  const methods = Object.entries(stage?.Throttle ?? {}).map(
    ([method, limits]) => [method, readThrottle(limits)] as const,
  );
  const throttle = properties['Throttle'] as Properties | undefined;
  const quota = properties['Quota'] as Properties | undefined;
  return {
    keys: readKeys(id, scope),
    methodThrottles: new Map(methods),
    ...(throttle && { throttle: readThrottle(throttle) }),
    ...(quota && {
      quota: { limit: Number(quota['Limit']), period: quota['Period'] as QuotaSpec['period'] },
    }),
  };
}

function readThrottle({ RateLimit, BurstLimit }: Properties): ThrottleSpec {
  return { ratePerSecond: Number(RateLimit), burst: Number(BurstLimit) };
}

/** Those of single methods. A path is written as `/~1users~1{id}`; the setting for all methods has no throttle of ours. */
export function readStageThrottles({ MethodSettings = [] }: Properties): Map<string, ThrottleSpec> {
  const settings = (MethodSettings as MethodSetting[]).filter(
    (setting) => setting.ThrottlingRateLimit !== undefined,
  );
  return new Map(settings.map((setting) => [nameOf(setting), readStageThrottle(setting)]));
}

type MethodSetting = {
  HttpMethod: string;
  ResourcePath: string;
  ThrottlingRateLimit?: number;
  ThrottlingBurstLimit?: number;
};

function nameOf({ HttpMethod, ResourcePath }: MethodSetting): string {
  return `${ResourcePath.slice(1).replaceAll('~1', '/')}/${HttpMethod}`;
}

function readStageThrottle(setting: MethodSetting): ThrottleSpec {
  return {
    ratePerSecond: Number(setting.ThrottlingRateLimit),
    burst: Number(setting.ThrottlingBurstLimit ?? setting.ThrottlingRateLimit),
  };
}

/** The values of the enabled keys of a plan. */
function readKeys(planId: string, scope: Scope): string[] {
  const keyIds = listOf(scope, 'AWS::ApiGateway::UsagePlanKey')
    .filter(({ properties }) => properties['UsagePlanId'] === planId)
    .map(({ properties }) => String(properties['KeyId']));
  const keys = keyIds.map((id) => propertiesOf(scope.resources[id], scope));
  return keys.filter(({ Enabled }) => Enabled === true).map(({ Value }) => String(Value));
}
