/** What a stage with a domain of its own synthesises. */
import { describe, expect, it } from 'vitest';
import { onlyOne, synthesiseApi } from '../support/api-stack.ts';

const domain = {
  name: 'api.example.com',
  certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/one',
};
const { api, template } = synthesiseApi({
  domain: { ...domain, hostedZone: { id: 'Z123', name: 'example.com' } },
});

describe('a domain', () => {
  it('is regional, with its certificate, over IPv4 and IPv6', () => {
    expect(onlyOne(template, 'AWS::ApiGateway::DomainName')).toMatchObject({
      DomainName: 'api.example.com',
      RegionalCertificateArn: domain.certificateArn,
      EndpointConfiguration: { Types: ['REGIONAL'], IpAddressType: 'dualstack' },
    });
  });

  it('takes the same TLS as the API itself', () => {
    const { SecurityPolicy, EndpointAccessMode } = onlyOne(template, 'AWS::ApiGateway::RestApi');

    expect(SecurityPolicy).toBe('SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09');
    expect(onlyOne(template, 'AWS::ApiGateway::DomainName')).toMatchObject({
      SecurityPolicy,
      EndpointAccessMode,
    });
  });

  it('leads from its root to the stage', () => {
    const mapping = onlyOne(template, 'AWS::ApiGateway::BasePathMapping');
    const [stage] = Object.keys(template.findResources('AWS::ApiGateway::Stage'));

    expect(mapping).toMatchObject({ Stage: { Ref: stage } });
    expect(mapping).not.toHaveProperty('BasePath');
    expect(api.address).toBe('https://api.example.com/');
  });

  it('closes the address that API Gateway gives, and nothing tells it', () => {
    expect(onlyOne(template, 'AWS::ApiGateway::RestApi')).toMatchObject({ DisableExecuteApiEndpoint: true });
    expect(template.findOutputs('*')).toEqual({});
  });

  it.each(['A', 'AAAA'])('has a record of type %s in its hosted zone', (Type) => {
    const [id] = Object.keys(template.findResources('AWS::ApiGateway::DomainName'));

    template.hasResourceProperties('AWS::Route53::RecordSet', {
      Type,
      Name: 'api.example.com.',
      HostedZoneId: 'Z123',
      AliasTarget: {
        DNSName: { 'Fn::GetAtt': [id, 'RegionalDomainName'] },
        HostedZoneId: { 'Fn::GetAtt': [id, 'RegionalHostedZoneId'] },
      },
    });
  });
});

it('without a hosted zone has no records, and tells where the name must lead', () => {
  const { template: zoneless } = synthesiseApi({ domain });
  const [id] = Object.keys(zoneless.findResources('AWS::ApiGateway::DomainName'));

  zoneless.resourceCountIs('AWS::Route53::RecordSet', 0);
  expect(zoneless.findOutputs('*')).toEqual({
    DomainTarget: { Value: { 'Fn::GetAtt': [id, 'RegionalDomainName'] } },
  });
});
