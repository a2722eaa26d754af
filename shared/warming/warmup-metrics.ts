/** Tells the metrics how a warm-up ended. */
import type { Recorder } from '../metrics/recorder.ts';
import type { WarmupReport } from './report.ts';

const STATUS_VALUES = { success: 1, partial: 0.5, failed: 0 } as const;

export function recordWarmup(recorder: Recorder, report: WarmupReport): void {
  recorder.count('cache_warmup_runs_total', [report.trigger, report.status], 1);
  // A skipped run did nothing: the gauges tell of the one that holds the lock.
  if (report.status === 'skipped') return;
  recorder.set('cache_warmup_status', [], STATUS_VALUES[report.status]);
  recorder.set('cache_warmup_duration_seconds', [], report.durationMs / 1_000);
  for (const step of report.steps) {
    if (step.planned > 0) recorder.set('cache_keys_warmed', [step.name], step.warmed);
  }
  if (report.status === 'success') {
    recorder.set('cache_warmup_last_success_timestamp_seconds', [], Math.floor(Date.now() / 1_000));
  }
}
