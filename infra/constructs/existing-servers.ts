/** What is there already and is only used: a network by its ids, servers by addresses that are kept in secrets. */
import { SecretValue, Validations } from 'aws-cdk-lib';
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { ExistingDatabase, ExistingNetwork, ExistingRedis } from '../stage-config.ts';
import type { DatabaseConnection, Network, RedisConnection } from './connections.ts';

/** The network that another stack made, or the one that is there already: its ids are literals, so each stack names them. */
export function networkIn(scope: Construct, network: Network | ExistingNetwork): Network {
  return 'kind' in network ? adoptNetwork(scope, network) : network;
}

function adoptNetwork(scope: Construct, config: ExistingNetwork): Network {
  const { vpcId, subnetIds, availabilityZones, clientSecurityGroupId } = config;
  const vpc = Vpc.fromVpcAttributes(scope, 'Vpc', {
    vpcId,
    availabilityZones: [...availabilityZones],
    privateSubnetIds: [...subnetIds],
  });
  Validations.of(vpc).acknowledge({
    id: 'Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId',
    reason: 'Nothing here adds a route to a network that is there already.',
  });
  return {
    vpc,
    subnetIds,
    // Not ours to change: what it may reach is for its owner to say.
    clients: SecurityGroup.fromSecurityGroupId(scope, 'Clients', clientSecurityGroupId, { mutable: false }),
  };
}

export function adoptRedis({ secretName }: ExistingRedis): RedisConnection {
  return { url: readSecret(secretName, 'redisUrl') };
}

/** Whose password is whose is for its owner to say: no migration sets any. */
export function adoptDatabase(config: ExistingDatabase): DatabaseConnection {
  const { secretName, readerSecretName = secretName, warmerSecretName = secretName, isRdsProxy } = config;
  const urls = {
    owner: readSecret(secretName, 'databaseUrl'),
    reader: readSecret(readerSecretName, 'databaseUrl'),
    warmer: readSecret(warmerSecretName, 'databaseUrl'),
  };
  return { urls, isRdsProxy };
}

/** Read by CloudFormation when it deploys: the template holds a reference only. */
function readSecret(name: string, jsonField: string): string {
  return SecretValue.secretsManager(name, { jsonField }).unsafeUnwrap();
}
