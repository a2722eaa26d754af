/** What a warm-up did, as it is returned, kept in Redis and answered by `GET /admin/status`. */
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';

export const TRIGGERS = ['deploy', 'schedule', 'manual'] as const;
export type Trigger = (typeof TRIGGERS)[number];

/**
 * `success`: all that was planned is warm, and kept for who comes next; `partial`: some is; `failed`: nothing is; `skipped`: another warm-up holds
 * the lock, which is as good as success for the schedule; a run of a deployment or by hand waits for it instead.
 */
type WarmupStatus = 'success' | 'partial' | 'failed' | 'skipped';

/** planned = warmed + skipped + failed, for each step and for the whole. */
export type KeyCounts = {
  readonly planned: number;
  readonly warmed: number;
  /** Something newer was in the cache already. */
  readonly skipped: number;
  readonly failed: number;
};

export type StepReport = KeyCounts & {
  readonly name: string;
  readonly status: 'success' | 'partial' | 'failed';
  readonly durationMs: number;
  /** With keys: how many of the planned ones people have read in the last day; Postgres guessed the others. */
  readonly plannedFromReads?: number;
  /** The most tries that any operation of the step took: 1 is none failed, 4 is the last retry. */
  readonly attempts: number;
  /** Causes of failures, with how many keys each cost. */
  readonly failures: readonly { readonly cause: string; readonly keys: number }[];
};

export type WarmupReport = KeyCounts & {
  readonly traceId: string;
  readonly trigger: Trigger;
  readonly status: WarmupStatus;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly durationMs: number;
  readonly steps: readonly StepReport[];
  /** Of a run that did not get the lock: whose warm-up holds it. */
  readonly holderTraceId?: string;
  /** Why the run ended before its steps did. */
  readonly aborted?: string;
};

const REPORTS_MAX = 50;

export function addCounts(parts: readonly KeyCounts[]): KeyCounts {
  const sum = (pick: (counts: KeyCounts) => number) => parts.reduce((total, part) => total + pick(part), 0);
  return {
    planned: sum((counts) => counts.planned),
    warmed: sum((counts) => counts.warmed),
    skipped: sum((counts) => counts.skipped),
    failed: sum((counts) => counts.failed),
  };
}

/** Keeps the report among the last 50, in the order in which the runs took the lock. */
export async function keepReport(redis: GuardedRedis, fence: number, report: WarmupReport): Promise<void> {
  await redis.run((client) =>
    client.addReport(keys.warmupReports, fence, JSON.stringify(report), REPORTS_MAX),
  );
}

/** The last reports, newest first. */
export async function lastReports(redis: GuardedRedis, limit: number): Promise<WarmupReport[]> {
  const texts = await redis.run((client) => client.zrevrange(keys.warmupReports, 0, limit - 1));
  return texts.map((text) => JSON.parse(text) as WarmupReport);
}
