/** The cells of a warm-up's report: what a terminal and a page of Markdown both show. */
import type { StepReport, WarmupReport } from '../../shared/warming/report.ts';

export const STEP_COLUMNS = [
  'step',
  'status',
  'time',
  'attempts',
  'planned',
  'warmed',
  'skipped',
  'failed',
] as const;

/** In the order of the columns. */
export function stepCells(step: StepReport): string[] {
  const counts = [step.attempts, step.planned, step.warmed, step.skipped, step.failed].map(formatCount);
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

function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}
