/** What every stage has until measurements say otherwise. */
import type { FunctionFolder, FunctionSize, StageConfig } from '../stage-config.ts';

/** 28 s is below API Gateway's own limit of 29 s. */
export const functionSizes = {
  read: { memoryMiB: 512, timeoutSeconds: 10 },
  admin: { memoryMiB: 512, timeoutSeconds: 28 },
  // Two: one run, and one that finds the lock held and says so.
  warmer: { memoryMiB: 1024, timeoutSeconds: 60, reservedConcurrency: 2 },
  authorizer: { memoryMiB: 256, timeoutSeconds: 5 },
  'deployment-hook': { memoryMiB: 256, timeoutSeconds: 30 },
  migrate: { memoryMiB: 256, timeoutSeconds: 300 },
} as const satisfies Record<FunctionFolder, FunctionSize>;

export const stageDefaults = {
  clients: ['default', 'oncall', 'console', 'ci'],
  functions: functionSizes,
  readThrottle: { ratePerSecond: 100, burst: 200 },
  warmEveryMinutes: 30,
} as const satisfies Partial<StageConfig>;
