/** When a reading of the clock is kept, and when it must not be. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WallClock } from '../../../../shared/cache/wall-clock.ts';

const turnEnds = () => new Promise((resolve) => setImmediate(resolve));
let clock: WallClock;
let readings: number;
let nowMs: number;

beforeEach(() => {
  readings = 0;
  nowMs = 1_800_000_000_000;
  vi.spyOn(Date, 'now').mockImplementation(() => {
    readings++;
    return nowMs;
  });
  clock = new WallClock(() => {});
});
afterEach(() => vi.restoreAllMocks());

it('a burst of reads reads the clock a few times', () => {
  for (let read = 0; read < 130; read++) expect(clock.nowMs()).toBe(nowMs);
  expect(readings).toBeLessThan(5);
});

it('a reading does not outlive its turn of the event loop: what is asked after a freeze is told the time', async () => {
  for (let read = 0; read < 10; read++) clock.nowMs();
  await turnEnds();
  nowMs += 60_000;
  expect(clock.nowMs()).toBe(nowMs);
});

it('a turn that does not end is told the time after 64 reads at the latest', () => {
  clock.nowMs();
  clock.nowMs();
  nowMs += 60_000;
  const told = Array.from({ length: 65 }, () => clock.nowMs());
  expect(told.at(-1)).toBe(nowMs);
});

it('reads that are apart are each told the time', async () => {
  for (let read = 0; read < 10; read++) {
    nowMs += 1;
    expect(clock.nowMs()).toBe(nowMs);
  }
  expect(readings).toBe(10);
});

it('says so, once, when it was set back; not when it goes on, was set forward, or stood still for a moment', () => {
  const onSetBack = vi.fn();
  const watched = new WallClock(onSetBack);
  const wallMs = 1_800_000_000_000;
  let monotonicMs = 5_000;
  vi.spyOn(performance, 'now').mockImplementation(() => monotonicMs);
  const read = (wallStepMs: number, monotonicStepMs: number) => {
    nowMs += wallStepMs;
    monotonicMs += monotonicStepMs;
    watched.nowMs();
    return onSetBack.mock.calls.length;
  };
  nowMs = wallMs;
  expect([read(0, 0), read(1_000, 1_000), read(3_600_000, 10), read(30, 60)]).toEqual([0, 0, 0, 0]);
  expect(read(-600, 10)).toBe(1);
  expect(read(10, 10)).toBe(1);
  // Idle until the clock shows what it showed before.
  expect(read(0, 2_000)).toBe(2);
});

it('is not set back for a process that had to wait between its readings of two clocks', async () => {
  const onSetBack = vi.fn();
  const watched = new WallClock(onSetBack);
  let monotonicMs = 5_000;
  let waitMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => {
    monotonicMs += waitMs;
    nowMs += waitMs;
    waitMs = 0;
    return monotonicMs;
  });
  watched.nowMs();
  waitMs = 400;
  expect(watched.nowMs()).toBe(nowMs);
  expect(onSetBack).not.toHaveBeenCalled();
  await turnEnds();
  nowMs -= 300;
  watched.nowMs();
  expect(onSetBack).toHaveBeenCalledOnce();
});
