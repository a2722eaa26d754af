/** How hard a warm-up works the database, by what the database shows of it. */
import { expect, it } from 'vitest';
import { Pace } from '../../../../shared/warming/pace.ts';

/** A pace that has seen a database of this speed. */
function paceAt(loadMs: number): Pace {
  const pace = new Pace(true);
  observeAll(pace, [loadMs, loadMs, loadMs]);
  return pace;
}

const observeAll = (pace: Pace, loadsMs: readonly number[]) => loadsMs.map((loadMs) => pace.observe(loadMs));

it('two loads at once and no rests, as long as the database keeps its speed', () => {
  const pace = new Pace(true);
  expect(observeAll(pace, [9, 12, 10, 11, 13, 9, 10])).toEqual([0, 0, 0, 0, 0, 0, 0]);
  expect(pace.lanes).toBe(2);
});

it('one load at once when loads take twice as long, after the second one that does', () => {
  const pace = paceAt(10);
  pace.observe(20);
  expect(pace.lanes).toBe(2);
  expect(pace.observe(20)).toBe(0);
  expect(pace.lanes).toBe(1);
});

it('one load that happens to be slow, or that fails, changes nothing', () => {
  const pace = paceAt(10);
  pace.observeFailure();
  expect(observeAll(pace, [10, 11, 80, 10, 10]).at(-1)).toBe(0);
  expect(pace.lanes).toBe(2);
});

it('rests when loads take longer still: three times the load at eight times its usual duration', () => {
  const pace = paceAt(10);
  expect(observeAll(pace, [80, 80, 80]).at(-1)).toBe(3 * 80);
  expect(pace.lanes).toBe(1);
});

it('no rest is longer than a second', () => {
  const pace = paceAt(10);
  expect(observeAll(pace, [900, 900, 900]).at(-1)).toBe(1_000);
});

it('spares a database whose loads fail', () => {
  const pace = paceAt(10);
  pace.observeFailure();
  pace.observeFailure();
  expect(pace.lanes).toBe(1);
});

it('works harder again as soon as the database has recovered', () => {
  const pace = paceAt(10);
  observeAll(pace, [80, 80, 80]);
  observeAll(pace, [10, 10]);
  expect(pace.lanes).toBe(2);
});

it('soon takes quicker loads for the usual ones: the first ones of a connection are slow', () => {
  const pace = paceAt(50);
  observeAll(pace, [10, 10, 10, 10, 10, 10, 10, 10]);
  observeAll(pace, [20, 20]);
  expect(pace.lanes).toBe(1);
});

it('does not take slow loads for the usual ones, however many there are', () => {
  const pace = paceAt(10);
  for (let load = 0; load < 200; load++) pace.observe(20);
  expect(pace.lanes).toBe(1);
});

it('without hurry there is one load at a time, and a tenth of a second after each', () => {
  const pace = new Pace(false);
  expect(observeAll(pace, [2, 2, 2])).toEqual([100, 100, 100]);
  expect(pace.lanes).toBe(1);
});

it('without hurry too, a slow database is given the longer rest', () => {
  const pace = new Pace(false);
  observeAll(pace, [20, 20, 20]);
  expect(observeAll(pace, [160, 160, 160]).at(-1)).toBe(3 * 160);
});
