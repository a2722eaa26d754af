/**
 * An example: a stage in a VPC, with a database, a Redis and an issuer that are there already, and nothing of these new.
 * Copy this file, put your own ids in, and add it to `index.ts`. Ids are no secrets; addresses with passwords are in
 * Secrets Manager, and CloudFormation reads them when it deploys.
 */
import type { StageConfig } from '../stage-config.ts';
import { stageDefaults } from './defaults.ts';

export const adoptedStage: StageConfig = {
  ...stageDefaults,
  stage: 'adopted',
  logLevel: 'info',
  logRetentionDays: 30,
  identity: {
    kind: 'existing',
    issuer: 'https://login.example.com/',
    audience: 'https://api.example.com',
    jwksUri: 'https://login.example.com/.well-known/jwks.json',
  },
  rollout: 'canary-10-percent-5-minutes',
  alarmEmails: ['oncall@example.com'],
  servers: {
    kind: 'vpc',
    network: {
      kind: 'existing',
      vpcId: 'vpc-0123456789abcdef0',
      subnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
      availabilityZones: ['eu-central-1a', 'eu-central-1b'],
      clientSecurityGroupId: 'sg-0123456789abcdef0',
    },
    redis: { kind: 'existing', secretName: 'shop/redis' },
    database: { kind: 'existing', secretName: 'shop/postgres', isRdsProxy: true },
    monitoring: { kind: 'existing', pushgatewayUrl: 'http://pushgateway.shop.internal:9091' },
    keepData: true,
  },
};
