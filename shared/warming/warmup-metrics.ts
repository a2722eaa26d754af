/** How a warm-up ended, as metrics. */
import { type Series, seriesOf } from '../metrics/definitions.ts';
import type { Recorder } from '../metrics/recorder.ts';
import type { WarmupReport } from './report.ts';

const STATUS_VALUES = { success: 1, partial: 0.5, failed: 0 } as const;

export function countWarmup(recorder: Recorder, report: WarmupReport): void {
  recorder.count('cache_warmup_runs_total', [report.trigger, report.status], 1);
}

/** What the run that held the lock last did; a skipped run did nothing, and has none. */
export function warmupGauges(report: WarmupReport): ReadonlyMap<Series, number> {
  const gauges = new Map<Series, number>();
  if (report.status === 'skipped') return gauges;
  gauges.set(seriesOf('cache_warmup_status', []), STATUS_VALUES[report.status]);
  gauges.set(seriesOf('cache_warmup_duration_seconds', []), report.durationMs / 1_000);
  for (const step of report.steps) {
    if (step.plannedFromReads !== undefined)
      gauges.set(seriesOf('cache_keys_warmed', [step.name]), step.warmed);
  }
  if (report.status === 'success') {
    const nowSeconds = Math.floor(Date.now() / 1_000);
    gauges.set(seriesOf('cache_warmup_last_success_timestamp_seconds', []), nowSeconds);
  }
  return gauges;
}
