/** What a warm-up did, as it is returned, kept in Redis and answered by `GET /admin/status`. */
import type { Result } from 'ioredis';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { defineScript } from '../redis/script.ts';

/** The last reports, as JSON, scored by fencing number. */
export const REPORTS_KEY = 'prewarm:{warmup}:reports';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /** Keeps a warm-up's report, newest first by fencing number, at most `reportsMax`. */
    addReport(key: string, fence: number, report: string, reportsMax: number): Result<number, Context>;
  }
}

/** Ordered by fencing number, not by arrival: a run that lost its lock and reports late does not become the last one. */
const ADD_REPORT = `
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))`;

defineScript('addReport', { numberOfKeys: 1, lua: ADD_REPORT });

export const TRIGGERS = ['deploy', 'schedule', 'manual'] as const;
export type Trigger = (typeof TRIGGERS)[number];

/**
 * `success`: all that was planned is warm, and its keys are kept for new containers; `partial`: some is; `failed`: nothing is;
 * `skipped`: another warm-up holds the lock, which the schedule counts as done; a run of a deployment or by hand waits for it.
 */
type WarmupStatus = 'success' | 'partial' | 'failed' | 'skipped';

/** planned = warmed + absent + skipped + failed, for each step and for the whole. */
export type KeyCounts = {
  readonly planned: number;
  readonly warmed: number;
  /** Postgres has no such thing any more, which the cache knows now. */
  readonly absent: number;
  /** Something newer was in the cache already. */
  readonly skipped: number;
  readonly failed: number;
};

export type StepReport = KeyCounts & {
  readonly name: string;
  readonly status: 'success' | 'partial' | 'failed';
  readonly durationMs: number;
  /** Of steps with keys: how many of the planned ones people have read in the last day; Postgres guessed the others. */
  readonly plannedFromReads?: number;
  /** The most tries that any operation of the step took: 1 is none failed, 4 is the last retry. */
  readonly attempts: number;
  /**
   * Of steps with keys: how many of the stored keys that were looked up again (all, or a sample of 1,000) were there, and how
   * many Redis had evicted.
   */
  readonly confirmed?: number;
  readonly lostToEviction?: number;
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
  /** The traceId of the warm-up that holds the lock, for a run that did not get it. */
  readonly holderTraceId?: string;
  /** Why the run ended before its steps did. */
  readonly aborted?: string;
};

const REPORTS_MAX = 50;
/** How much of a text that is no report is logged, in characters. */
const LOGGED_TEXT_MAX = 100;

export function addCounts(parts: readonly KeyCounts[]): KeyCounts {
  const sum = (pick: (counts: KeyCounts) => number) => parts.reduce((total, part) => total + pick(part), 0);
  return {
    planned: sum((counts) => counts.planned),
    warmed: sum((counts) => counts.warmed),
    absent: sum((counts) => counts.absent),
    skipped: sum((counts) => counts.skipped),
    failed: sum((counts) => counts.failed),
  };
}

/** Keeps the report among the last 50, in the order in which the runs took the lock. */
export async function keepReport(redis: GuardedRedis, fence: number, report: WarmupReport): Promise<void> {
  await withOwnTypes(redis, { [REPORTS_KEY]: 'zset' }, (client) =>
    client.addReport(REPORTS_KEY, fence, JSON.stringify(report), REPORTS_MAX),
  );
}

/** The last reports, newest first, at most `limit`. What is none (cut short, say) is left out, and removed. */
export async function lastReports(redis: GuardedRedis, limit: number): Promise<WarmupReport[]> {
  const texts = await withOwnTypes(redis, { [REPORTS_KEY]: 'zset' }, (client) =>
    client.zrevrange(REPORTS_KEY, 0, REPORTS_MAX - 1),
  );
  const reports = texts.map(parseReport);
  const others = texts.filter((_, place) => reports[place] === undefined);
  if (others.length > 0) {
    const texts = others.map((text) => text.slice(0, LOGGED_TEXT_MAX));
    log.error('warmup.report_unreadable', 'Something among the reports was no report, and is removed.', {
      key: REPORTS_KEY,
      texts,
    });
    await redis.run((client) => client.zrem(REPORTS_KEY, ...others));
  }
  return reports.filter((report) => report !== undefined).slice(0, limit);
}

function parseReport(text: string): WarmupReport | undefined {
  try {
    const report = JSON.parse(text) as Partial<WarmupReport> | null;
    const isReport = typeof report?.traceId === 'string' && Array.isArray(report.steps);
    return isReport ? (report as WarmupReport) : undefined;
  } catch {
    return undefined;
  }
}
