/**
 * The warm-up, as the requirement draws it: lock, database connection, top users, user search, metrics, release; before
 * the metrics, what it leaves for new containers and for the next run. A part that fails leaves the others alone. A lock
 * that somebody else holds means to the schedule that the work is being done; deployments and admins wait for it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { rootCause } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { DatasetWarmer, type WarmableDataset, type WarmedDataset } from './dataset-warmer.ts';
import { EvictionWatch } from './eviction-watch.ts';
import { keepHotKeys } from './hot-keys.ts';
import { type LockAttempt, LockSeeker, type WarmupLock } from './lock.ts';
import { addCounts, keepReport, type StepReport, type Trigger, type WarmupReport } from './report.ts';
import { runOperation } from './step.ts';

/**
 * A deployment's keys may be new, and an admin has a reason: their runs wait for a lock that is taken, for longer than it
 * lives when its owner was killed. The schedule's do not: the work is being done, and the next run is near.
 */
const LOCK_WAIT_MS = 35_000;
const LOCK_ASKED_EVERY_MS = 200;

/** The new containers of a deployment start meanwhile. */
const DEPLOY_DELAY_MS = 500;

/** How long keeping the keys may take, also when the function's time is nearly used up: the next run carries on from there. */
const KEEP_TIMEOUT_MS = 2_000;

export type WarmupRun = {
  readonly traceId: string;
  readonly trigger: Trigger;
  readonly redis: GuardedRedis;
  /** Opens the database's connections. */
  connect(): Promise<void>;
  readonly datasets: readonly WarmableDataset[];
  /** Aborts the run while there is still time to release the lock and to report. */
  readonly signal: AbortSignal;
  /** Records the metrics, in the order of the fencing number; there is none when the lock was not taken. Must not throw. */
  recordMetrics(report: WarmupReport, fence?: number): Promise<void>;
  /** @default 5 s, so that a lost lock is noticed within a third of its time to live */
  readonly lockRenewEveryMs?: number;
  /** How long a run of a deployment or by hand waits for the lock. @default 35 s */
  readonly lockWaitMs?: number;
};

/** Runs a warm-up to its end, whatever fails on the way, and answers what was done. */
export async function warmUp(run: WarmupRun): Promise<WarmupReport> {
  if (run.trigger === 'deploy') await sleep(DEPLOY_DELAY_MS);
  const start = { startedAt: new Date().toISOString(), startedMonotonicMs: performance.now() };
  log.info('warmup.triggered', 'Warm-up triggered.', { trigger: run.trigger });
  const attempt = await tryLock(run);
  if ('failure' in attempt) return finish(run, reportOf(run, start, [attempt.failure]));
  if (!attempt.acquired) return finish(run, withoutLockReport(run, start, attempt.holderTraceId));
  return warmWithLock(run, start, attempt.lock);
}

type Start = { readonly startedAt: string; readonly startedMonotonicMs: number };

async function tryLock(run: WarmupRun): Promise<LockAttempt | { failure: StepReport }> {
  const seeker = new LockSeeker(run.redis, run.traceId, run.lockRenewEveryMs);
  const giveUpMonotonicMs = performance.now() + (run.lockWaitMs ?? LOCK_WAIT_MS);
  for (;;) {
    const { value, report } = await runOperation('lock', ({ signal }) => seeker.acquire(signal), run.signal);
    if (value === undefined) {
      await seeker.abandon();
      return { failure: report };
    }
    if (value.acquired || !waitsFor(value.holderTraceId, run) || performance.now() >= giveUpMonotonicMs)
      return value;
    await sleep(LOCK_ASKED_EVERY_MS);
  }
}

/** Whether this run waits for the holder of the lock. A holder with our own traceId is the same event, delivered twice. */
function waitsFor(holderTraceId: string, { trigger, traceId, signal }: WarmupRun): boolean {
  return trigger !== 'schedule' && holderTraceId !== traceId && !signal.aborted;
}

async function warmWithLock(run: WarmupRun, start: Start, lock: WarmupLock): Promise<WarmupReport> {
  const signal = AbortSignal.any([lock.signal, run.signal]);
  try {
    const steps = await runSteps(run, lock, signal);
    const report = reportOf(run, start, steps, signal);
    await keep(run.redis, lock.fence, report);
    return await finish(run, report, lock.fence);
  } finally {
    await lock.release();
  }
}

/** Runs the steps one after the other, as drawn; the failure of each is in its report. Once aborted, the rest fails at once. */
async function runSteps(run: WarmupRun, lock: WarmupLock, signal: AbortSignal): Promise<StepReport[]> {
  const connection = await runOperation('database-connection', () => run.connect(), signal);
  const evictions = new EvictionWatch(run.redis);
  await evictions.begin();
  // What the schedule warms is warm already, as a rule, and nobody waits for it: it has the time not to be felt.
  const isUrgent = run.trigger !== 'schedule';
  const warmers = run.datasets.map((dataset) => new DatasetWarmer(dataset, { signal, isUrgent, evictions }));
  for (const warmer of warmers) await warmer.warmFirst();
  for (let unfinished = warmers; unfinished.length > 0; ) {
    const more: DatasetWarmer[] = [];
    for (const warmer of unfinished) if (await warmer.warmMore()) more.push(warmer);
    unfinished = more;
  }
  const warmed: WarmedDataset[] = [];
  for (const warmer of warmers) warmed.push(await warmer.confirm());
  return [connection.report, ...warmed.map(({ report }) => report), await keepKeys(run, lock, warmed)];
}

/** Keeps what the run leaves for others, unless it lost the lock: another run knows better then. */
async function keepKeys(
  { redis, datasets: warmable }: WarmupRun,
  lock: WarmupLock,
  warmed: readonly WarmedDataset[],
): Promise<StepReport> {
  const planned = warmed.flatMap((each) => (each.plan ? [{ ...each, plan: each.plan }] : []));
  const manifest = new Map(planned.map(({ dataset, plan }) => [dataset, plan.hotKeys]));
  const unfinished = new Map(
    planned.map(({ dataset, plan, isUnfinished }) => [dataset, isUnfinished ? plan.beganAtMs : undefined]),
  );
  const datasets = warmable.map(({ name }) => name);
  const keep = async () => {
    if (planned.length === 0) return;
    const saving = planned.map(({ plan }) => plan.save());
    const settled = await Promise.allSettled([
      keepHotKeys(redis, lock.fence, { datasets, manifest, unfinished }),
      ...saving,
    ]);
    const failures = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    for (const error of failures)
      log.warn('warmup.hot_keys_not_kept', 'The hot keys were not kept everywhere.', { error });
    if (failures.length > 0) throw failures[0];
  };
  const signal = AbortSignal.any([lock.signal, AbortSignal.timeout(KEEP_TIMEOUT_MS)]);
  return (await runOperation('hot-keys', keep, signal)).report;
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
    durationMs: Math.round(performance.now() - start.startedMonotonicMs),
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

/** Skipped, because another run does the work; or failed, when this one waited in vain for that to end. */
function withoutLockReport(run: WarmupRun, start: Start, holderTraceId: string): WarmupReport {
  const report = { ...reportOf(run, start, []), holderTraceId };
  if (run.trigger === 'schedule' || holderTraceId === run.traceId) return { ...report, status: 'skipped' };
  return { ...report, status: 'failed', aborted: `Another warm-up held the lock: ${holderTraceId}.` };
}

async function keep(redis: GuardedRedis, fence: number, report: WarmupReport): Promise<void> {
  try {
    await keepReport(redis, fence, report);
  } catch (error) {
    log.error('warmup.report_not_kept', 'The report could not be kept.', { error });
  }
}

async function finish(run: WarmupRun, report: WarmupReport, fence?: number): Promise<WarmupReport> {
  await run.recordMetrics(report, fence);
  const { steps, ...facts } = report;
  const level = report.status === 'failed' ? 'error' : report.status === 'partial' ? 'warn' : 'info';
  log[level]('warmup.finished', `Warm-up ended: ${report.status}.`, {
    ...facts,
    steps: steps.map(describeStep),
  });
  return report;
}

function describeStep({ name, status, durationMs, attempts, warmed, failed }: StepReport): unknown {
  return { name, status, durationMs, attempts, warmed, failed };
}
