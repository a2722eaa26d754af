/** Finds out what became of the warm-up that a deployment started. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WarmupReport } from '../../shared/warming/report.ts';
import type { Status } from './checks.ts';

export type WarmupFate =
  | { readonly kind: 'reported'; readonly report: WarmupReport }
  /** It found the lock held, and left: the run that held it has ended, with this report. */
  | { readonly kind: 'replaced'; readonly report: WarmupReport }
  | { readonly kind: 'running' }
  | { readonly kind: 'held'; readonly holderTraceId: string }
  | { readonly kind: 'missing'; readonly newest?: WarmupReport }
  | { readonly kind: 'redis-away' };

export type Watch = {
  /** @default - the newest run that a deployment started */
  readonly traceId?: string;
  readonly waitMs: number;
  /** @default 13 s: the status may be asked for five times a minute */
  readonly pollEveryMs?: number;
};

const POLL_EVERY_MS = 13_000;

/** A run that skips leaves no report: so who held the lock is remembered, and its report is taken instead. */
export async function watchWarmup(
  first: Status,
  readStatus: () => Promise<Status>,
  { traceId, waitMs, pollEveryMs = POLL_EVERY_MS }: Watch,
): Promise<WarmupFate> {
  const deadlineMs = performance.now() + waitMs;
  const holders = new Set<string>();
  let fate = judge(first, traceId, holders);
  while (!isFinal(fate) && performance.now() + pollEveryMs <= deadlineMs) {
    if (fate.kind === 'held') holders.add(fate.holderTraceId);
    await sleep(pollEveryMs);
    fate = judge(await readStatus(), traceId, holders);
  }
  return fate;
}

function isFinal({ kind }: WarmupFate): boolean {
  return kind === 'reported' || kind === 'replaced';
}

function judge({ warmup }: Status, traceId: string | undefined, holders: ReadonlySet<string>): WarmupFate {
  if (!warmup) return { kind: 'redis-away' };
  const { runningTraceId, lastReports } = warmup;
  const own = lastReports.find((report) =>
    traceId === undefined ? report.trigger === 'deploy' : report.traceId === traceId,
  );
  if (own) return { kind: 'reported', report: own };
  if (runningTraceId !== null) {
    return runningTraceId === traceId ? { kind: 'running' } : { kind: 'held', holderTraceId: runningTraceId };
  }
  const replacement = lastReports.find((report) => holders.has(report.traceId));
  if (replacement) return { kind: 'replaced', report: replacement };
  return { kind: 'missing', ...(lastReports[0] && { newest: lastReports[0] }) };
}
