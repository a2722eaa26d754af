/** The stage `prod`: three zones, nothing with a single point of failure, nothing deleted with its stack. */
import type { StageConfig } from '../stage-config.ts';
import { functionSizes, stageDefaults } from './defaults.ts';

export const prodStage: StageConfig = {
  ...stageDefaults,
  stage: 'prod',
  logLevel: 'info',
  logRetentionDays: 90,
  readThrottle: { ratePerSecond: 500, burst: 1000 },
  searchThrottle: { ratePerSecond: 50, burst: 100 },
  functions: {
    ...functionSizes,
    // What the proxy's connections to the database can serve, and no burst can exceed.
    read: { ...functionSizes.read, reservedConcurrency: 170 },
    search: { ...functionSizes.search, reservedConcurrency: 30 },
    admin: { ...functionSizes.admin, reservedConcurrency: 5 },
    migrate: { ...functionSizes.migrate, reservedConcurrency: 1 },
  },
  identity: { kind: 'new' },
  rollout: 'canary-10-percent-5-minutes',
  firewall: { requestsPer5MinutesAndAddress: 10_000 },
  servers: {
    kind: 'vpc',
    network: { kind: 'new', zones: 3, cidr: '10.30.0.0/16' },
    redis: { kind: 'new', nodeType: 'cache.r7g.large', replicas: 1, snapshotRetentionDays: 7 },
    database: { kind: 'aurora', minCapacity: 1, maxCapacity: 16, hasReader: true, backupRetentionDays: 14 },
    monitoring: { kind: 'new' },
    keepData: true,
  },
};
