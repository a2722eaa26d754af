/** The usage plan: every known client has a key of its own, and each method its limits per key. */
import { createHash } from 'node:crypto';
import { ApiKey, type Method, type RestApi, UsagePlan } from 'aws-cdk-lib/aws-apigateway';
import { Construct } from 'constructs';
import type { Throttle } from '../stage-config.ts';

export type UsagePlansProps = {
  readonly api: RestApi;
  readonly keys: Readonly<Record<string, string>>;
  /** What holds for methods without limits of their own. */
  readonly throttle: Throttle;
  readonly methodThrottles: readonly { readonly method: Method; readonly throttle: Throttle }[];
};

/** One plan for all, since a key may be in only one plan of a stage. */
export class UsagePlans extends Construct {
  constructor(scope: Construct, id: string, props: UsagePlansProps) {
    super(scope, id);
    const plan = new UsagePlan(this, 'Plan', { throttle: limits(props.throttle) });
    plan.addApiStage({
      stage: props.api.deploymentStage,
      throttle: props.methodThrottles.map(({ method, throttle }) => ({ method, throttle: limits(throttle) })),
    });
    for (const [client, value] of Object.entries(props.keys)) {
      plan.addApiKey(new ApiKey(this, `Key-${client}`, { value, description: `Prewarm client: ${client}` }));
    }
  }
}

/**
 * The key of each client, at least 20 characters as API Gateway demands. No secrets: the authorizer names the key after it
 * verified the token, and the header `x-api-key` is never looked at. Unique in an account by the stack's name.
 */
export function deriveKeys(stackName: string, clients: readonly string[]): Record<string, string> {
  return Object.fromEntries(clients.map((client) => [client, deriveKey(stackName, client)]));
}

function deriveKey(stackName: string, client: string): string {
  const digest = createHash('sha256').update(`${stackName}/${client}`).digest('hex');
  return `${client}-${digest.slice(0, 32)}`;
}

function limits({ ratePerSecond, burst }: Throttle) {
  return { rateLimit: ratePerSecond, burstLimit: burst };
}
