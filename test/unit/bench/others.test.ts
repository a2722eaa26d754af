/** How busy the machine was with something else: the arithmetic on what Linux tells. */
import { expect, it } from 'vitest';
import { describeOthers, processorTimeOf, shareOfOthers } from '../../bench/report/others.ts';

/** user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice */
const STAT = 'cpu  100 10 50 800 20 3 7 10 99 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n';

function statOf(pid: number, name: string, parent: number, times: readonly number[]): string {
  return `${pid} (${name}) S ${parent} 1 1 0 -1 4194304 100 0 0 0 ${times.join(' ')} 20 0 1 0 270755\n`;
}

const PROCESSES = [
  statOf(1, 'init', 0, [900, 900, 900, 900]),
  statOf(10, 'node', 1, [5, 3, 2, 1]),
  statOf(11, 'a) b (c', 10, [7, 0, 0, 0]),
  statOf(12, 'redis', 11, [4, 4, 0, 0]),
  statOf(13, 'other', 1, [500, 0, 0, 0]),
];

it('sums what is busy, and what a process and all below it used', () => {
  expect(processorTimeOf(STAT, PROCESSES, 10)).toEqual({ all: 1_000, busy: 180, own: 26 });
});

it('takes the own share off', () => {
  const before = { all: 1_000, busy: 100, own: 50 };
  expect(shareOfOthers(before, { all: 2_000, busy: 600, own: 150 })).toBe(0.4);
  // Linux counts the two in different ways, so that the own share may look larger than all.
  expect(shareOfOthers(before, { all: 2_000, busy: 150, own: 110 })).toBe(0);
});

it('says nothing of little', () => {
  expect(describeOthers(0.1)).toBeUndefined();
  expect(describeOthers(0.384)).toBe(
    'The machine was busy with something else (38 %): these figures mean little.',
  );
});
