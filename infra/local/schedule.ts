/** Runs the template's EventBridge rules: `rate(n minutes|hours|days)` becomes a timer that invokes the target. */
import type { ScheduleSpec } from '../assembly/template.ts';

const unitMs: Readonly<Record<string, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** What a timer of Node can wait at most. */
const longestMs = 2 ** 31 - 1;

/** Milliseconds between two runs. @throws for a cron expression, a wrong one, or one too long for a timer. */
export function parseRate(expression: string): number {
  const [, count, unit = '', plural] = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(expression) ?? [];
  const intervalMs = Number(count) * (unitMs[unit] ?? Number.NaN);
  const isWrong = !(intervalMs > 0) || (Number(count) === 1) === (plural === 's');
  if (isWrong) throw new Error(`The local runner does not implement the schedule "${expression}"`);
  if (intervalMs > longestMs) throw new Error(`The schedule "${expression}" is too long for a timer`);
  return intervalMs;
}

/** Starts the timers; the answer stops them. */
export function startSchedules(
  schedules: readonly ScheduleSpec[],
  run: (schedule: ScheduleSpec) => void,
): () => void {
  const timers = schedules.map((schedule) =>
    setInterval(() => run(schedule), parseRate(schedule.expression)),
  );
  return () => {
    for (const timer of timers) clearInterval(timer);
  };
}
