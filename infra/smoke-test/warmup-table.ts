/** A warm-up's report as a table, for a terminal; its cells are those of a page of Markdown too. */
import type { StepReport, WarmupReport } from '../../shared/warming/report.ts';

export const STEP_COLUMNS = [
  'step',
  'status',
  'time',
  'attempts',
  'planned',
  'warmed',
  'absent',
  'skipped',
  'failed',
] as const;

/** In the order of the columns. */
export function stepCells(step: StepReport): string[] {
  // A report of an older version does not count what is absent.
  const { attempts, planned, warmed, absent = 0, skipped, failed } = step as Partial<StepReport> & StepReport;
  const counts = [attempts, planned, warmed, absent, skipped, failed].map(formatCount);
  return [step.name, step.status, `${Math.round(step.durationMs)} ms`, ...counts];
}

export function describeTotal(report: WarmupReport): string {
  const total = `${formatCount(report.warmed)} of ${formatCount(report.planned)} keys warmed`;
  const chosen = report.steps.reduce((sum, { plannedFromReads = 0 }) => sum + plannedFromReads, 0);
  return chosen === 0 ? total : `${total}, ${formatCount(chosen)} of them planned because people read them`;
}

export function describeFailures(step: StepReport): string[] {
  return step.failures.map(({ cause, keys }) => `${step.name}: ${formatCount(keys)} failed: ${cause}`);
}

export function formatReport(report: WarmupReport): string {
  const title = `Warm-up ${report.status}   trigger ${report.trigger}   traceId ${report.traceId}   ${Math.round(report.durationMs)} ms`;
  if (report.status === 'skipped')
    return `${title}\n  another warm-up, ${report.holderTraceId ?? 'unknown'}, holds the lock`;
  const rows = [[...STEP_COLUMNS], ...report.steps.map(stepCells)];
  const aborted = report.aborted === undefined ? [] : [`  ended early: ${report.aborted}`];
  return [
    title,
    ...alignColumns(rows),
    `  ${describeTotal(report)}`,
    ...aborted,
    ...report.steps.flatMap(describeFailures).map((line) => `  ${line}`),
  ].join('\n');
}

/** Words to the left, numbers to the right. */
function alignColumns(rows: readonly string[][]): string[] {
  const widths = STEP_COLUMNS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const align = (cell: string, column: number) =>
    column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(align).join('   ')}`.trimEnd());
}

function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}
