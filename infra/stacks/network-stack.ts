/** The network of a stage: it changes least, and everything else is deployed into it. */
import { Fn, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Network } from '../constructs/connections.ts';
import { PrivateNetwork } from '../constructs/network.ts';
import type { NewNetwork, StageConfig } from '../stage-config.ts';

export type NetworkStackProps = Pick<StageConfig, 'stage' | 'logRetentionDays'> & {
  readonly config: NewNetwork;
};

export class NetworkStack extends Stack {
  readonly network: Network;

  constructor(scope: Construct, id: string, { stage, config, logRetentionDays }: NetworkStackProps) {
    super(scope, id, { description: `Prewarm (${stage}): the network` });
    const { network } = new PrivateNetwork(this, 'Network', { config, logRetention: logRetentionDays });
    this.network = network;
  }

  /** Without an account to ask, the library would offer two: so CloudFormation picks the region's first zones. */
  override get availabilityZones(): string[] {
    return [0, 1, 2].map((index) => Fn.select(index, Fn.getAzs()));
  }
}
