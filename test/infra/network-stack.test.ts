/** What the network stack deploys, with two zones and with three. The checks of a deployment run on it too. */
import { describe, expect, it } from 'vitest';
import { NetworkStack } from '../../infra/stacks/network-stack.ts';
import { type Rendered, RenderedStacks } from '../support/rendered-stacks.ts';

const cidr = '10.20.0.0/16';

function synthesise(zones: 2 | 3, availabilityZones?: readonly string[]) {
  const made: NetworkStack[] = [];
  const rendered = new RenderedStacks((app) => {
    const config = { kind: 'new', zones, cidr, ...(availabilityZones && { availabilityZones }) } as const;
    made.push(new NetworkStack(app, 'prewarm-test-network', { stage: 'test', config, logRetentionDays: 30 }));
  });
  const [stack] = made as [NetworkStack];
  return { stack, of: (type: string) => rendered.resources(stack, type), rendered };
}

const two = synthesise(2);
const three = synthesise(3);

const subnets = ({ of }: typeof two) => of('AWS::EC2::Subnet');
const endpoints = ({ of }: typeof two) => of('AWS::EC2::VPCEndpoint');
const idsLike = (resources: Record<string, Rendered>, pattern: RegExp) =>
  Object.keys(resources).filter((id) => pattern.test(id));

describe.each([
  ['two zones', 2, two],
  ['three zones', 3, three],
] as const)('a network over %s', (_, zones, synthesised) => {
  const { stack, of, rendered } = synthesised;

  it('has a public and an isolated subnet in each zone, and hands on the isolated ones', () => {
    const zonesOf = (pattern: RegExp) =>
      idsLike(subnets(synthesised), pattern).map(
        (id) => subnets(synthesised)[id]?.Properties['AvailabilityZone'],
      );
    const expected = ['zone-a', 'zone-b', 'zone-c'].slice(0, zones);

    expect(zonesOf(/Public/)).toEqual(expected);
    expect(zonesOf(/Isolated/)).toEqual(expected);
    expect(stack.network.subnetIds).toEqual(
      stack.network.vpc.isolatedSubnets.map(({ subnetId }) => subnetId),
    );
    expect(stack.network.subnetIds).toHaveLength(zones);
  });

  it('gives no address of the internet to anything by itself', () => {
    for (const { Properties } of Object.values(subnets(synthesised))) {
      expect(Properties['MapPublicIpOnLaunch']).toBe(false);
    }
  });

  it('has routes to the internet gateway from the public subnets, no others, and no NAT gateway', () => {
    const routes = Object.values(of('AWS::EC2::Route')).map(({ Properties }) => Properties);

    expect(routes).toHaveLength(zones);
    for (const route of routes) {
      expect(route).toEqual({
        DestinationCidrBlock: '0.0.0.0/0',
        GatewayId: 'NetworkVpcIGW',
        RouteTableId: expect.stringMatching(/PublicSubnet\dRouteTable$/),
      });
    }
    expect(of('AWS::EC2::NatGateway')).toEqual({});
    expect(of('AWS::EC2::EIP')).toEqual({});
  });

  it('lets the functions into the endpoints, and nobody into anything else', () => {
    expect(rendered.openings(stack)).toEqual(['NetworkClients → NetworkEndpoints:443']);
  });

  it('has both service endpoints in every zone, under the names that the SDK uses', () => {
    const isolated = idsLike(subnets(synthesised), /Isolated/);
    const interfaces = Object.values(endpoints(synthesised)).filter(
      ({ Properties }) => Properties['VpcEndpointType'] === 'Interface',
    );

    expect(interfaces.map(({ Properties }) => Properties['ServiceName']).sort()).toEqual([
      'com.amazonaws.eu-central-1.elasticache',
      'com.amazonaws.eu-central-1.lambda',
    ]);
    for (const { Properties } of interfaces) {
      expect(Properties).toMatchObject({
        PrivateDnsEnabled: true,
        SubnetIds: isolated,
        SecurityGroupIds: ['NetworkEndpoints.GroupId'],
      });
    }
  });

  it('leads to S3 from the isolated subnets, and from these only', () => {
    const { Properties } = endpoints(synthesised)['NetworkVpcS3Endpoint'] as Rendered;

    expect(Properties['VpcEndpointType']).toBe('Gateway');
    expect(Properties['RouteTableIds']).toEqual(idsLike(of('AWS::EC2::RouteTable'), /Isolated/));
  });
});

describe('the security group of the functions', () => {
  it('reaches the servers’ ports in the VPC, and HTTPS, which has endpoints only', () => {
    const groups = two.of('AWS::EC2::SecurityGroup');
    const egress = (groups['NetworkClients'] as Rendered).Properties['SecurityGroupEgress'];

    expect(egress.map((rule: Record<string, unknown>) => [rule['CidrIp'], rule['FromPort']])).toEqual([
      ['NetworkVpc.CidrBlock', 5432],
      ['NetworkVpc.CidrBlock', 6379],
      ['NetworkVpc.CidrBlock', 9091],
      ['0.0.0.0/0', 443],
    ]);
    for (const rule of egress) expect(rule.ToPort).toBe(rule.FromPort);
    expect(two.of('AWS::EC2::SecurityGroupEgress')).toEqual({});
  });
});

describe('an endpoint lets through only', () => {
  const statementsOf = (id: string) =>
    (endpoints(two)[id] as Rendered).Properties['PolicyDocument'].Statement;

  it.each([
    [
      'NetworkVpcLambdaEndpoint',
      'lambda:InvokeFunction',
      'arn:aws:lambda:eu-central-1:111122223333:function:*',
    ],
    [
      'NetworkVpcElastiCacheEndpoint',
      'elasticache:DescribeReplicationGroups',
      'arn:aws:elasticache:eu-central-1:111122223333:replicationgroup:*',
    ],
  ])('%s: %s by and of this account', (id, Action, Resource) => {
    const Condition = { StringEquals: { 'aws:PrincipalAccount': '111122223333' } };
    expect(statementsOf(id)).toEqual([
      { Effect: 'Allow', Principal: { AWS: '*' }, Action, Resource, Condition },
    ]);
  });

  it('NetworkVpcS3Endpoint: answers to CloudFormation, in the bucket of the region', () => {
    const Resource = 'arn:aws:s3:::cloudformation-custom-resource-response-eucentral1/*';
    expect(statementsOf('NetworkVpcS3Endpoint')).toEqual([
      { Effect: 'Allow', Principal: { AWS: '*' }, Action: 's3:PutObject', Resource },
    ]);
  });
});

describe('a network', () => {
  it('that grows from two zones to three keeps the addresses of its subnets', () => {
    const cidrs = (synthesised: typeof two) =>
      Object.fromEntries(
        Object.entries(subnets(synthesised)).map(([id, { Properties }]) => [id, Properties['CidrBlock']]),
      );

    expect(Object.keys(cidrs(two))).toHaveLength(4);
    expect(cidrs(three)).toMatchObject(cidrs(two));
  });

  it('spends sixteen addresses a zone on the public subnets, and the rest on the isolated ones', () => {
    const sizes = (pattern: RegExp) =>
      idsLike(subnets(two), pattern).map((id) => subnets(two)[id]?.Properties['CidrBlock'].split('/')[1]);

    expect(sizes(/Public/)).toEqual(['28', '28']);
    expect(sizes(/Isolated/)).toEqual(['18', '18']);
  });

  it('has the zones that its stage names', () => {
    const named = synthesise(2, ['eu-central-1a', 'eu-central-1c']);
    const zones = new Set(
      Object.values(subnets(named)).map(({ Properties }) => Properties['AvailabilityZone']),
    );
    expect([...zones]).toEqual(['eu-central-1a', 'eu-central-1c']);
  });

  it('logs what was rejected, and forgets it', () => {
    expect(two.rendered.resource(two.stack, 'AWS::EC2::FlowLog').Properties).toMatchObject({
      TrafficType: 'REJECT',
      ResourceType: 'VPC',
      LogGroupName: 'NetworkVpcRejectedTrafficLogs',
    });
    expect(two.rendered.resource(two.stack, 'AWS::Logs::LogGroup').Properties['RetentionInDays']).toBe(30);
  });

  it('needs no function of its own', () => {
    expect(two.of('AWS::Lambda::Function')).toEqual({});
  });
});
