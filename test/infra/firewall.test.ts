/** What a stage with a firewall synthesises. */
import { describe, expect, it } from 'vitest';
import { onlyOne, synthesiseApi } from '../support/api-stack.ts';

const { template } = synthesiseApi({ firewall: { requestsPer5MinutesAndAddress: 1234 } });

type Visibility = { MetricName: string; CloudWatchMetricsEnabled: boolean; SampledRequestsEnabled: boolean };
type Rule = { Name: string; Priority: number; Statement: object; VisibilityConfig: Visibility };

const acl = onlyOne(template, 'AWS::WAFv2::WebACL');
const rules = acl['Rules'] as Rule[];

describe('a firewall', () => {
  it('stands in front of the stage', () => {
    const association = onlyOne(template, 'AWS::WAFv2::WebACLAssociation');
    const [aclId] = Object.keys(template.findResources('AWS::WAFv2::WebACL'));
    const [stageId] = Object.keys(template.findResources('AWS::ApiGateway::Stage'));

    expect(association).toMatchObject({ WebACLArn: { 'Fn::GetAtt': [aclId, 'Arn'] } });
    expect(JSON.stringify(association['ResourceArn'])).toContain(`"/stages/",{"Ref":"${stageId}"}`);
    expect(acl).toMatchObject({ Scope: 'REGIONAL', DefaultAction: { Allow: {} } });
  });

  it('limits each address before it looks at anything else', () => {
    expect(rules.toSorted((one, other) => one.Priority - other.Priority)[0]).toMatchObject({
      Action: { Block: {} },
      Statement: {
        RateBasedStatement: { Limit: 1234, EvaluationWindowSec: 300, AggregateKeyType: 'IP' },
      },
    });
    expect(new Set(rules.map(({ Priority }) => Priority)).size).toBe(rules.length);
  });

  it.each([
    'AWSManagedRulesAmazonIpReputationList',
    'AWSManagedRulesCommonRuleSet',
    'AWSManagedRulesKnownBadInputsRuleSet',
  ])('blocks by %s', (Name) => {
    expect(rules).toContainEqual(
      expect.objectContaining({
        OverrideAction: { None: {} },
        Statement: { ManagedRuleGroupStatement: expect.objectContaining({ VendorName: 'AWS', Name }) },
      }),
    );
  });

  it('lets programs through that do not name themselves', () => {
    const common = rules.find(({ Name }) => Name === 'AWSManagedRulesCommonRuleSet');

    expect(common?.Statement).toMatchObject({
      ManagedRuleGroupStatement: {
        RuleActionOverrides: [{ Name: 'NoUserAgent_HEADER', ActionToUse: { Count: {} } }],
      },
    });
  });

  it('measures each rule under a name of its own, and keeps no request', () => {
    const visibility = [acl, ...rules].map(({ VisibilityConfig }) => VisibilityConfig as Visibility);

    expect(new Set(visibility.map(({ MetricName }) => MetricName)).size).toBe(rules.length + 1);
    for (const each of visibility) {
      expect(each).toMatchObject({ CloudWatchMetricsEnabled: true, SampledRequestsEnabled: false });
    }
    template.resourceCountIs('AWS::WAFv2::LoggingConfiguration', 0);
  });
});

it('there is none without settings for it', () => {
  const { template: plain } = synthesiseApi();

  plain.resourceCountIs('AWS::WAFv2::WebACL', 0);
  plain.resourceCountIs('AWS::WAFv2::WebACLAssociation', 0);
});
