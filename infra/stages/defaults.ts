/** What every stage has until measurements say otherwise. */
import type { FunctionName, FunctionSize, StageConfig } from '../stage-config.ts';

/** 28 s is below API Gateway's own limit of 29 s. */
export const functionSizes = {
  read: { memoryMiB: 512, timeoutSeconds: 10 },
  search: { memoryMiB: 512, timeoutSeconds: 10 },
  admin: { memoryMiB: 512, timeoutSeconds: 28 },
  // Three: one run, one that waits for its lock, and one that finds it held and says so. 90 s are a wait of 35 s at
  // most, a run, and 9 s to close.
  warmer: { memoryMiB: 1024, timeoutSeconds: 90, reservedConcurrency: 3 },
  authorizer: { memoryMiB: 256, timeoutSeconds: 5 },
  'deployment-hook': { memoryMiB: 256, timeoutSeconds: 30 },
  migrate: { memoryMiB: 256, timeoutSeconds: 300 },
} as const satisfies Record<FunctionName, FunctionSize>;

export const stageDefaults = {
  clients: ['default', 'oncall', 'console', 'ci'],
  functions: functionSizes,
  readThrottle: { ratePerSecond: 100, burst: 200 },
  searchThrottle: { ratePerSecond: 10, burst: 20 },
  warmEveryMinutes: 30,
  waitForWarmUpMs: 20_000,
} as const satisfies Partial<StageConfig>;
