/** How hard a warm-up works the database and Redis, by what they show of it. */
import { expect, it } from 'vitest';
import { Pace } from '../../../../shared/warming/pace.ts';

const STORE_MS = 6;

/** One batch: answers how long to rest after its load, beside which the one before is stored. */
function warmOne(pace: Pace, loadMs: number, storeMs = STORE_MS): number {
  const restMs = pace.observeLoad(loadMs);
  pace.observeStore(storeMs);
  return restMs;
}

const warmAll = (pace: Pace, loadsMs: readonly number[]) => loadsMs.map((loadMs) => warmOne(pace, loadMs));

/** A pace that has seen servers of this speed. */
function paceAt(loadMs: number, storeMs?: number): Pace {
  const pace = new Pace(true);
  for (let batch = 0; batch < 3; batch++) warmOne(pace, loadMs, storeMs);
  return pace;
}

it('rests half as long again as a load and a store took, as long as both keep their speed', () => {
  const pace = new Pace(true);
  expect(warmAll(pace, [9, 12, 10, 11, 13, 9, 10])).toEqual(
    [9, 18, 16, 17, 19, 15, 16].map((workMs) => 1.5 * workMs),
  );
});

it('what works two fifths of the time works a third of it when loads take twice as long, after the second one that does', () => {
  const pace = paceAt(10);
  expect(warmOne(pace, 20)).toBe(1.5 * (20 + STORE_MS));
  expect(warmOne(pace, 20)).toBe(2 * (20 + STORE_MS));
});

it('the same of stores: a Redis that takes twice as long, or holds up who sends too much', () => {
  const pace = paceAt(10);
  expect(warmOne(pace, 10, 12)).toBe(1.5 * (10 + STORE_MS));
  expect(warmOne(pace, 10, 12)).toBe(1.5 * (10 + 12));
  expect(warmOne(pace, 10, 12)).toBe(2 * (10 + 12));
});

it('one load that happens to be slow, or that fails, changes nothing', () => {
  const pace = paceAt(10);
  pace.observeFailure();
  expect(warmAll(pace, [10, 11, 80, 10, 10]).at(-1)).toBe(1.5 * (10 + STORE_MS));
});

it('an eighth of the speed is given a ninth of the time', () => {
  const pace = paceAt(3);
  expect(warmAll(pace, [24, 24, 24]).at(-1)).toBe(8 * (24 + STORE_MS));
});

it('no rest is longer than a second', () => {
  const pace = paceAt(10);
  expect(warmAll(pace, [900, 900, 900]).at(-1)).toBe(1_000);
});

it('spares servers that fail', () => {
  const pace = paceAt(10);
  pace.observeFailure();
  pace.observeFailure();
  expect(warmOne(pace, 10)).toBe(1_000);
});

it('works harder again as soon as they have recovered', () => {
  const pace = paceAt(10);
  warmAll(pace, [80, 80, 80]);
  expect(warmAll(pace, [10, 10]).at(-1)).toBe(1.5 * (10 + STORE_MS));
});

it('soon takes quicker loads for the usual ones: the first ones of a connection are slow', () => {
  const pace = paceAt(50);
  warmAll(pace, [10, 10, 10, 10, 10, 10, 10, 10]);
  expect(warmAll(pace, [20, 20]).at(-1)).toBeGreaterThan(1.7 * (20 + STORE_MS));
});

it('does not take slow loads for the usual ones, however many there are', () => {
  const pace = paceAt(10);
  for (let load = 0; load < 200; load++) warmOne(pace, 20);
  expect(warmOne(pace, 20)).toBe(2 * (20 + STORE_MS));
});

it('without hurry there is a tenth of a second after each load', () => {
  const pace = new Pace(false);
  expect(warmAll(pace, [2, 2, 2])).toEqual([100, 100, 100]);
});

it('without hurry too, a slow database is given the longer rest', () => {
  const pace = new Pace(false);
  warmAll(pace, [20, 20, 20]);
  expect(warmAll(pace, [160, 160, 160]).at(-1)).toBe(1_000);
});

it('without hurry the rests of many loads are shorter, so that all of them are done within the time of a run', () => {
  const pace = new Pace(false);
  pace.expect(2_000);
  expect(warmAll(pace, [2, 2])).toEqual([10, 1.5 * (2 + STORE_MS)]);
  expect(warmOne(pace, 20)).toBe(1.5 * (20 + STORE_MS));
});
