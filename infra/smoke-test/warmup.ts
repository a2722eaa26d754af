/** What became of a deployment's warm-up: waits for its report, and shows it as a table. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WarmupReport } from '../../shared/warming/report.ts';
import type { Finding, Status } from './checks.ts';

type Watch = {
  /** Undefined: the newest run that a deployment started. */
  readonly traceId?: string | undefined;
  readonly waitMs: number;
  /** @default 13 s: the status may be asked for five times a minute */
  readonly pollEveryMs?: number;
};

type Outcome = Finding & { readonly report?: WarmupReport };

/**
 * A run that skips leaves no report: so who held the lock is remembered, and its report is taken instead. A warm-up that failed
 * is a warning: the schedule and the reads themselves fill the cache, and the API works.
 */
export async function watchWarmup(
  first: Status,
  readStatus: () => Promise<Status>,
  { traceId, waitMs, pollEveryMs = 13_000 }: Watch,
): Promise<Outcome> {
  const deadlineMs = performance.now() + waitMs;
  const holders = new Set<string>();
  let outcome = judge(first, traceId, holders);
  while (!outcome.report && performance.now() + pollEveryMs <= deadlineMs) {
    await sleep(pollEveryMs);
    outcome = judge(await readStatus(), traceId, holders);
  }
  return outcome;
}

function judge({ warmup }: Status, traceId: string | undefined, holders: Set<string>): Outcome {
  const name = ["The deployment's warm-up", traceId].join(' ').trim();
  if (!warmup) return { text: `${name} is unknown`, warning: 'Reports are kept in Redis, which is away.' };
  const { runningTraceId, lastReports } = warmup;
  const own = lastReports.find((report) =>
    traceId === undefined ? report.trigger === 'deploy' : report.traceId === traceId,
  );
  if (own) return describeReport(`The deployment's warm-up ${own.traceId}`, own);
  if (runningTraceId === traceId)
    return { text: `${name} is still running`, warning: 'Look at GET /admin/status later.' };
  if (runningTraceId !== null) {
    holders.add(runningTraceId);
    const text = `${name} has no report, and the warm-up ${runningTraceId} holds the lock`;
    return {
      text,
      warning:
        'A warm-up that finds the lock held leaves its work to the holder: look at GET /admin/status later.',
    };
  }
  const other = lastReports.find((report) => holders.has(report.traceId));
  if (other)
    return describeReport(`${name} was skipped, because the warm-up ${other.traceId} held the lock`, other);
  return { text: `${name} has no report; the newest is ${nameRun(lastReports[0])}`, warning: WHERE_TO_LOOK };
}

const WHERE_TO_LOOK =
  'Look for its traceId in the logs of the deployment hook and the warmer. Until the next run of the schedule, first ' +
  'reads come from Postgres; POST /admin/warm-up warms at once.';

function describeReport(what: string, report: WarmupReport): Outcome {
  const text = `${what}: ${report.status}`;
  if (report.status === 'success') return { text, report };
  const warning = 'The failures are below; POST /admin/warm-up tries again, and so does the schedule.';
  return { text, warning, report };
}

function nameRun(run: WarmupReport | undefined): string {
  return run ? `${run.traceId} (${run.trigger}, ${run.status}, started ${run.startedAt})` : 'none';
}

const COUNTS = ['attempts', 'planned', 'warmed', 'absent', 'skipped', 'failed'] as const;

/** Words to the left, numbers to the right. A report of an older version does not count what is absent. */
function tableOf({ steps }: WarmupReport): string[] {
  const cells = steps.map((step) => [
    step.name,
    step.status,
    `${Math.round(step.durationMs)} ms`,
    ...COUNTS.map((count) => formatCount(step[count] ?? 0)),
  ]);
  const rows = [['step', 'status', 'time', ...COUNTS], ...cells];
  const widthOf = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const align = (cell: string, column: number) => cell[column < 2 ? 'padEnd' : 'padStart'](widthOf(column));
  return rows.map((row) => row.map(align).join('   '));
}

/** What stands below the table: the total, an early end, and why keys failed. */
function remarksOn({ warmed, planned, steps, aborted }: WarmupReport): string[] {
  const read = steps.reduce((sum, { plannedFromReads = 0 }) => sum + plannedFromReads, 0);
  const chosen = read === 0 ? '' : `, ${formatCount(read)} of them planned because people read them`;
  return [
    `${formatCount(warmed)} of ${formatCount(planned)} keys warmed${chosen}`,
    ...(aborted === undefined ? [] : [`ended early: ${aborted}`]),
    ...steps.flatMap(({ name, failures }) =>
      failures.map(({ cause, keys }) => `${name}: ${formatCount(keys)} failed: ${cause}`),
    ),
  ];
}

function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

export function formatReport(report: WarmupReport): string {
  const { status, trigger, traceId, durationMs, holderTraceId = 'unknown' } = report;
  const title = `Warm-up ${status}   trigger ${trigger}   traceId ${traceId}   ${Math.round(durationMs)} ms`;
  const lines =
    status === 'skipped'
      ? [`another warm-up, ${holderTraceId}, holds the lock`]
      : [...tableOf(report), ...remarksOn(report)];
  return [title, ...lines.map((line) => `  ${line}`)].join('\n');
}
