/** When a time is long enough ago, also by a clock that people set. */
import { expect, it } from 'vitest';
import { hasPassed } from '../../../shared/clock.ts';

const NOW_MS = 1_800_000_000_000;

it.each([
  ['as long ago', NOW_MS - 100, true],
  ['longer ago', NOW_MS - 101, true],
  ['never', 0, true],
  ['less long ago', NOW_MS - 99, false],
  ['now', NOW_MS, false],
  ['still to come, because the clock was set back', NOW_MS + 3_600_000, true],
])('what was %s has passed or not', (_, sinceMs, passed) => {
  expect(hasPassed(100, sinceMs, NOW_MS)).toBe(passed);
});
