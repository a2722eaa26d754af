/** The stage `dev`: an account to try things in, as small as it works, and deleted with its stacks. */
import type { StageConfig } from '../stage-config.ts';
import { stageDefaults } from './defaults.ts';

export const devStage: StageConfig = {
  ...stageDefaults,
  stage: 'dev',
  logLevel: 'debug',
  logRetentionDays: 7,
  identity: { kind: 'new' },
  rollout: 'all-at-once',
  servers: {
    kind: 'vpc',
    network: { kind: 'new', zones: 2, cidr: '10.20.0.0/16' },
    redis: { kind: 'new', nodeType: 'cache.t4g.micro', replicas: 1, snapshotRetentionDays: 0 },
    database: {
      kind: 'rds',
      instanceType: 't4g.micro',
      multiAz: false,
      storageGiB: 20,
      storageMaxGiB: 50,
      backupRetentionDays: 1,
    },
    monitoring: { kind: 'new' },
    keepData: false,
  },
};
