/** The web application firewall in front of the API's stage: a limit for each address, and AWS' rules for common attacks. */
import { Stack } from 'aws-cdk-lib';
import type { Stage } from 'aws-cdk-lib/aws-apigateway';
import { CfnWebACL, CfnWebACLAssociation } from 'aws-cdk-lib/aws-wafv2';
import { Construct } from 'constructs';
import type { Firewall as FirewallSettings } from '../stage-config.ts';

export type FirewallProps = FirewallSettings & { readonly stage: Stage };

type ManagedRules = {
  readonly name: string;
  /** Rules that are counted, and block nothing. */
  readonly counted?: readonly string[];
};

/**
 * The common rules refuse bodies above 8 KiB and queries above 2 KiB: a hundred ids of sixteen digits, the most that is
 * read or cleared at once, are below both, even with every comma percent-encoded.
 */
const managedRules: readonly ManagedRules[] = [
  { name: 'AWSManagedRulesAmazonIpReputationList' },
  // The callers are programs, and many HTTP clients name themselves only when told to.
  { name: 'AWSManagedRulesCommonRuleSet', counted: ['NoUserAgent_HEADER'] },
  { name: 'AWSManagedRulesKnownBadInputsRuleSet' },
];

/**
 * It keeps no log, whose lines would hold each caller's address and token: its metrics tell how often each rule blocks, and
 * the API's access log which requests.
 */
export class Firewall extends Construct {
  constructor(scope: Construct, id: string, { stage, requestsPer5MinutesAndAddress }: FirewallProps) {
    super(scope, id);
    const rules = [limitAddresses(requestsPer5MinutesAndAddress), ...managedRules.map(adopt)];
    const acl = new CfnWebACL(this, 'WebAcl', {
      scope: 'REGIONAL',
      defaultAction: { allow: {} },
      visibilityConfig: measuredAs(Stack.of(this).stackName),
      rules: rules.map((rule, priority) => ({ ...rule, priority })),
    });
    new CfnWebACLAssociation(this, 'Association', {
      webAclArn: acl.attrArn,
      resourceArn: stage.stageArn,
    });
  }
}

type Rule = Omit<CfnWebACL.RuleProperty, 'priority'>;

/** First, so that a flood is over before the other rules look at it. */
function limitAddresses(limit: number): Rule {
  const name = 'RequestsPerAddress';
  return {
    name,
    action: { block: {} },
    statement: { rateBasedStatement: { limit, evaluationWindowSec: 300, aggregateKeyType: 'IP' } },
    visibilityConfig: measuredAs(name),
  };
}

function adopt({ name, counted = [] }: ManagedRules): Rule {
  const ruleActionOverrides = counted.map((rule) => ({ name: rule, actionToUse: { count: {} } }));
  return {
    name,
    overrideAction: { none: {} },
    statement: { managedRuleGroupStatement: { vendorName: 'AWS', name, ruleActionOverrides } },
    visibilityConfig: measuredAs(name),
  };
}

/** Sampled requests would show headers, and the tokens in them, to whoever may look at the firewall. */
function measuredAs(metricName: string): CfnWebACL.VisibilityConfigProperty {
  return { metricName, cloudWatchMetricsEnabled: true, sampledRequestsEnabled: false };
}
