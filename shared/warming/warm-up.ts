/**
 * The warm-up, as the requirement draws it: lock, database connection, top users, user search, metrics, release. A part
 * that fails leaves the others alone; a lock that somebody else holds means that the work is being done.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { rootCause } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { type LockAttempt, LockSeeker, type WarmupLock } from './lock.ts';
import { addCounts, keepReport, type StepReport, type Trigger, type WarmupReport } from './report.ts';
import { CONNECTION_STEP, runOperation, type WarmTarget, warmTarget } from './step.ts';

/** The new containers of a deployment start meanwhile. */
const DEPLOY_DELAY_MS = 500;

export type WarmupRun = {
  readonly traceId: string;
  readonly trigger: Trigger;
  readonly redis: GuardedRedis;
  /** Opens the database's connections. */
  connect(): Promise<void>;
  readonly targets: readonly WarmTarget[];
  /** Aborts the run while there is still time to release the lock and to report. */
  readonly signal: AbortSignal;
  /** Tells the metrics, in the order of the fencing number; there is none when the lock was not taken. Must not throw. */
  recordMetrics(report: WarmupReport, fence?: number): Promise<void>;
  /** @default 10 s, a third of the lock's time to live */
  readonly lockRenewEveryMs?: number;
};

/** Runs a warm-up to its end, whatever fails on the way, and answers what was done. */
export async function warmUp(run: WarmupRun): Promise<WarmupReport> {
  if (run.trigger === 'deploy') await sleep(DEPLOY_DELAY_MS);
  const start = { startedAt: new Date().toISOString(), startedAtMs: performance.now() };
  log.info('Warm-up triggered.', { trigger: run.trigger });
  const attempt = await tryLock(run);
  if ('failure' in attempt) return finish(run, reportOf(run, start, [attempt.failure]));
  if (!attempt.acquired) return finish(run, skippedReport(run, start, attempt.holderTraceId));
  return warmWithLock(run, start, attempt.lock);
}

type Start = { readonly startedAt: string; readonly startedAtMs: number };

async function tryLock(run: WarmupRun): Promise<LockAttempt | { failure: StepReport }> {
  const seeker = new LockSeeker(run.redis, run.traceId, run.lockRenewEveryMs);
  const { value, report } = await runOperation('lock', ({ signal }) => seeker.acquire(signal), run.signal);
  if (value !== undefined) return value;
  await seeker.abandon();
  return { failure: report };
}

async function warmWithLock(run: WarmupRun, start: Start, lock: WarmupLock): Promise<WarmupReport> {
  const signal = AbortSignal.any([lock.signal, run.signal]);
  try {
    const steps = await runSteps(run, signal);
    const report = reportOf(run, start, steps, signal);
    await keep(run.redis, lock.fence, report);
    return await finish(run, report, lock.fence);
  } finally {
    await lock.release();
  }
}

/** One after the other, as drawn; each one's failure is in its report. Once aborted, the rest fails at once. */
async function runSteps(run: WarmupRun, signal: AbortSignal): Promise<StepReport[]> {
  const connection = await runOperation(CONNECTION_STEP, () => run.connect(), signal);
  const steps = [connection.report];
  for (const target of run.targets) steps.push(await warmTarget(target, signal));
  return steps;
}

function reportOf(
  run: WarmupRun,
  start: Start,
  steps: readonly StepReport[],
  signal?: AbortSignal,
): WarmupReport {
  return {
    traceId: run.traceId,
    trigger: run.trigger,
    status: statusOf(steps, signal?.aborted === true),
    startedAt: start.startedAt,
    durationMs: Math.round(performance.now() - start.startedAtMs),
    ...addCounts(steps),
    steps,
    ...(signal?.aborted ? { aborted: rootCause(signal.reason) } : {}),
  };
}

function statusOf(steps: readonly StepReport[], aborted: boolean): WarmupReport['status'] {
  if (!aborted && steps.every((step) => step.status === 'success')) return 'success';
  const done = addCounts(steps);
  return done.warmed + done.skipped > 0 ? 'partial' : 'failed';
}

function skippedReport(run: WarmupRun, start: Start, holderTraceId: string): WarmupReport {
  return { ...reportOf(run, start, []), status: 'skipped', holderTraceId };
}

async function keep(redis: GuardedRedis, fence: number, report: WarmupReport): Promise<void> {
  try {
    await keepReport(redis, fence, report);
  } catch (error) {
    log.error('The report could not be kept.', { error });
  }
}

async function finish(run: WarmupRun, report: WarmupReport, fence?: number): Promise<WarmupReport> {
  await run.recordMetrics(report, fence);
  const { steps, ...facts } = report;
  const level = report.status === 'failed' ? 'error' : report.status === 'partial' ? 'warn' : 'info';
  log[level](`Warm-up ended: ${report.status}.`, { ...facts, steps: steps.map(describeStep) });
  return report;
}

function describeStep({ name, status, durationMs, attempts, warmed, failed }: StepReport): unknown {
  return { name, status, durationMs, attempts, warmed, failed };
}
