/** The VPC of a stage: its functions and servers have no way to the internet, and no NAT gateway is paid for. */
import { Aws, Fn, RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  FlowLogDestination,
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type ISecurityGroup,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  type SubnetSelection,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { AnyPrincipal, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { NewNetwork } from '../stage-config.ts';
import type { Network } from './connections.ts';

export type PrivateNetworkProps = { readonly config: NewNetwork; readonly logRetention: RetentionDays };

/** Postgres, Redis, Pushgateway: what the functions connect to inside the VPC. */
const serverPorts = [5432, 6379, 9091];

const isolated: SubnetSelection = { subnetType: SubnetType.PRIVATE_ISOLATED };

/** By itself an endpoint would let in the whole VPC. */
const closed = { subnets: isolated, open: false, privateDnsEnabled: true };

export class PrivateNetwork extends Construct {
  readonly network: Network;

  constructor(scope: Construct, id: string, { config, logRetention }: PrivateNetworkProps) {
    super(scope, id);
    const vpc = createVpc(this, config);
    logRejectedTraffic(vpc, logRetention);
    const clients = createClients(this, vpc);
    addResponseBucketEndpoint(vpc);
    addServiceEndpoints(this, vpc, clients);
    this.network = { vpc, subnetIds: vpc.selectSubnets(isolated).subnetIds, clients };
  }
}

function createVpc(scope: Construct, { cidr, zones, availabilityZones }: NewNetwork): IVpc {
  const vpc = new Vpc(scope, 'Vpc', {
    ipAddresses: IpAddresses.cidr(cidr),
    ...(availabilityZones ? { availabilityZones: [...availabilityZones] } : { maxAzs: zones }),
    natGateways: 0,
    subnetConfiguration: [
      // For the monitoring task alone: it fetches images and writes to people. Sixteen addresses are the least AWS allows.
      { name: 'Public', subnetType: SubnetType.PUBLIC, cidrMask: 28, mapPublicIpOnLaunch: false },
      { name: 'Isolated', subnetType: SubnetType.PRIVATE_ISOLATED },
    ],
    // Nothing here is in the default group, which lets in its own members only. To empty it, the library would deploy a
    // function that may change security groups: more to guard than what it closes.
    restrictDefaultSecurityGroup: false,
  }) as IVpc; // which it implements, but for how it writes what may be undefined
  if (availabilityZones) {
    Validations.of(vpc).acknowledge({
      id: 'CloudFormation-Validate::W3010',
      reason: 'Not every zone has every service: the stage names those that do.',
    });
  }
  return vpc;
}

/** What a security group kept out: the first thing to look at when a connection times out. */
function logRejectedTraffic(vpc: IVpc, retention: RetentionDays): void {
  const logGroup = new LogGroup(vpc, 'RejectedTrafficLogs', {
    retention,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  vpc.addFlowLog('RejectedTraffic', {
    trafficType: FlowLogTrafficType.REJECT,
    destination: FlowLogDestination.toCloudWatchLogs(logGroup),
  });
}

/** The functions' security group. Who lets it in says so itself; here is only what it may reach. */
function createClients(scope: Construct, vpc: IVpc): SecurityGroup {
  const clients = new SecurityGroup(scope, 'Clients', {
    vpc,
    description: 'Prewarm: the functions that use Redis, Postgres and the Pushgateway',
    allowAllOutbound: false,
  });
  for (const port of serverPorts) {
    clients.addEgressRule(Peer.ipv4(vpc.vpcCidrBlock), Port.tcp(port), 'Servers in the VPC');
  }
  // To any address, because those of S3 are a prefix list whose id can only be looked up in an account. The isolated
  // subnets have routes to the VPC and to S3 only, and what the endpoints let through is in their policies.
  clients.addEgressRule(Peer.anyIpv4(), Port.HTTPS, 'Endpoints of AWS services');
  return clients;
}

/**
 * A custom resource in the VPC (the migrations) answers CloudFormation by a PUT to a presigned URL of this bucket, whose
 * name has the region without hyphens. The URL is signed by CloudFormation, hence any principal.
 */
function addResponseBucketEndpoint(vpc: IVpc): void {
  const region = Fn.join('', Fn.split('-', Aws.REGION));
  const bucket = `arn:${Aws.PARTITION}:s3:::cloudformation-custom-resource-response-${region}`;
  const endpoint = vpc.addGatewayEndpoint('S3Endpoint', {
    service: GatewayVpcEndpointAwsService.S3,
    subnets: [isolated],
  });
  endpoint.addToPolicy(allow('s3:PutObject', `${bucket}/*`));
}

/** The two services that a function in the VPC calls: the admin function starts the warmer and asks how Redis is. */
function addServiceEndpoints(scope: Construct, vpc: IVpc, clients: ISecurityGroup): void {
  const securityGroups = [createEndpointsGroup(scope, vpc, clients)];
  const { LAMBDA, ELASTICACHE } = InterfaceVpcEndpointAwsService;
  vpc
    .addInterfaceEndpoint('LambdaEndpoint', { ...closed, service: LAMBDA, securityGroups })
    .addToPolicy(allowOwn('lambda:InvokeFunction', 'function:*'));
  vpc
    .addInterfaceEndpoint('ElastiCacheEndpoint', { ...closed, service: ELASTICACHE, securityGroups })
    .addToPolicy(allowOwn('elasticache:DescribeReplicationGroups', 'replicationgroup:*'));
}

function createEndpointsGroup(scope: Construct, vpc: IVpc, clients: ISecurityGroup): SecurityGroup {
  const endpoints = new SecurityGroup(scope, 'Endpoints', {
    vpc,
    description: 'Prewarm: endpoints of AWS services',
    allowAllOutbound: false,
  });
  endpoints.addIngressRule(clients, Port.HTTPS, 'The functions');
  return endpoints;
}

function allow(action: string, resource: string): PolicyStatement {
  return new PolicyStatement({ principals: [new AnyPrincipal()], actions: [action], resources: [resource] });
}

/** Roles of other accounts, whose keys somebody might bring into a function, get through neither endpoint. */
function allowOwn(action: string, resource: string): PolicyStatement {
  const [service] = action.split(':');
  const arn = `arn:${Aws.PARTITION}:${service}:${Aws.REGION}:${Aws.ACCOUNT_ID}:${resource}`;
  const statement = allow(action, arn);
  statement.addCondition('StringEquals', { 'aws:PrincipalAccount': Aws.ACCOUNT_ID });
  return statement;
}
