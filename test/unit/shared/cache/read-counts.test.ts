/** How reads are counted in a container until they are handed on. */
import { beforeEach, expect, it } from 'vitest';
import { ReadCounts } from '../../../../shared/cache/read-counts.ts';

let counts: ReadCounts;

beforeEach(() => {
  counts = new ReadCounts();
});

function countKeys(count: number): void {
  for (let index = 0; index < count; index++) counts.add(`key-${index}`, 1);
}

it('reads of a key add up', () => {
  counts.add('a', 1);
  counts.add('b', 2);
  counts.add('a', 3);
  expect(counts.take()).toEqual(
    new Map([
      ['a', 4],
      ['b', 2],
    ]),
  );
});

it('reads are handed over once', () => {
  counts.add('a', 1);
  const first = counts.take();
  counts.add('b', 1);
  expect(counts.take()).toEqual(new Map([['b', 1]]));
  expect(first).toEqual(new Map([['a', 1]]));
  expect(counts.take().size).toBe(0);
});

it('says that it has many before there is no room for what a request and a whole memory add', () => {
  countKeys(3_999);
  expect(counts.hasMany).toBe(false);
  counts.add('one more', 1);
  expect(counts.hasMany).toBe(true);
  for (let index = 0; index < 1_100; index++) counts.add(`later-${index}`, 5);
  expect(counts.take().get('later-1099')).toBe(5);
  expect(counts.hasMany).toBe(false);
});

it('of many keys only so many are counted, and those still are', () => {
  countKeys(100_000);
  counts.add('key-0', 1);
  const taken = counts.take();
  expect(taken.size).toBe(6_000);
  expect(taken.get('key-0')).toBe(2);
});

it('what was handed over makes room', () => {
  countKeys(100_000);
  counts.take();
  counts.add('new', 1);
  expect(counts.take()).toEqual(new Map([['new', 1]]));
});
