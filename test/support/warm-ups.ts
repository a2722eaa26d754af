/** Whole warm-ups of the fixture's datasets, or of smaller and quicker ones, for tests of what they leave behind. */
import { randomUUID } from 'node:crypto';
import { openCaches, warmableDatasetsOf } from '../../shared/caches.ts';
import type { Database } from '../../shared/postgres/database.ts';
import type { GuardedRedis } from '../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../shared/warming/dataset-warmer.ts';
import type { WarmPlan } from '../../shared/warming/plan.ts';
import type { Trigger, WarmupReport } from '../../shared/warming/report.ts';
import { warmUp } from '../../shared/warming/warm-up.ts';
import { datasets, type Registered } from './datasets/index.ts';

/** The fixture's datasets, with at most so many users and searches to warm. */
export function datasetsOf(users: number, searches: number): Registered {
  return {
    users: { ...datasets.users, warmIdsMax: users },
    userSearch: { ...datasets.userSearch, warmIdsMax: searches },
  };
}

export function targetsOf(
  redis: GuardedRedis,
  database: Database,
  registered: Registered,
): WarmableDataset[] {
  return warmableDatasetsOf(redis, database, openCaches(redis, database, registered), registered);
}

export async function runWarmUp(
  redis: GuardedRedis,
  database: Database,
  registered: Registered,
  trigger: Trigger = 'manual',
): Promise<{ report: WarmupReport; plans: ReadonlyMap<string, WarmPlan> }> {
  const plans = new Map<string, WarmPlan>();
  const watched = targetsOf(redis, database, registered).map((target) => ({
    ...target,
    plan: async () => {
      const plan = await target.plan();
      plans.set(target.name, plan);
      return plan;
    },
  }));
  const report = await warmUp({
    traceId: randomUUID(),
    trigger,
    redis,
    connect: () => database.connect(),
    datasets: watched,
    signal: new AbortController().signal,
    recordMetrics: async () => {},
  });
  return { report, plans };
}

/** There is nothing to do. */
export const NO_PLAN: WarmPlan = {
  batches: [],
  keysFromReads: 0,
  more: async () => undefined,
  batchesMax: 0,
  beganAtMs: 1,
  batchesOf: () => [],
  setAside: async () => {},
  hotKeys: [],
  save: async () => {},
};

/** What a plan warms, in its order. */
export function keysOf(plan: WarmPlan | undefined): string[] {
  return plan?.batches.flatMap(({ keys }) => keys) ?? [];
}
