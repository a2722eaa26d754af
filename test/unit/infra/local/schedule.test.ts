/** The behaviour of infra/local/schedule.ts. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseRate, startSchedules } from '../../../../infra/local/schedule.ts';

afterEach(() => {
  vi.useRealTimers();
});

describe('parseRate', () => {
  it.each([
    ['rate(30 minutes)', 1_800_000],
    ['rate(1 minute)', 60_000],
    ['rate(2 hours)', 7_200_000],
    ['rate(1 day)', 86_400_000],
  ])('%s is %i ms', (expression, intervalMs) => {
    expect(parseRate(expression)).toBe(intervalMs);
  });

  it.each(['cron(0 * * * ? *)', 'rate(0 minutes)', 'rate(1 minutes)', 'rate(2 hour)', 'rate(5 seconds)'])(
    '%s is refused by name',
    (expression) => {
      expect(() => parseRate(expression)).toThrow(expression);
    },
  );

  it('refuses what a timer cannot wait for', () => {
    expect(() => parseRate('rate(25 days)')).toThrow('too long');
  });
});

describe('startSchedules', () => {
  it('runs the target every time the interval is over, until it is stopped', () => {
    vi.useFakeTimers();
    const runs: unknown[] = [];
    const schedule = {
      expression: 'rate(30 minutes)',
      functionName: 'warmer',
      input: { trigger: 'schedule' },
    };
    const stop = startSchedules([schedule], (each) => void runs.push(each));

    vi.advanceTimersByTime(90 * 60_000);
    stop();
    vi.advanceTimersByTime(90 * 60_000);

    expect(runs).toEqual([schedule, schedule, schedule]);
  });
});
