/** What is remembered of keys that were seen: most of the last ones, in a table that does not grow. */
import { expect, it } from 'vitest';
import { SeenKeys } from '../../../../shared/cache/seen-keys.ts';

const keysOf = (name: string, count: number) =>
  Array.from({ length: count }, (_, place) => `${name}-${place}`);

it('a key that was seen is found once', () => {
  const seen = new SeenKeys(900);
  seen.add('a');
  expect([seen.take('b'), seen.take('a'), seen.take('a')]).toEqual([false, true, false]);
});

it('of as many as it is for, most are found, and hardly any that was not seen', () => {
  const seen = new SeenKeys(900);
  for (const key of keysOf('seen', 900)) seen.add(key);
  expect(keysOf('other', 100_000).filter((key) => seen.take(key)).length).toBeLessThan(10);
  expect(keysOf('seen', 900).filter((key) => seen.take(key)).length).toBeGreaterThan(500);
});

it('later keys overwrite earlier ones', () => {
  const seen = new SeenKeys(900);
  for (const key of [...keysOf('early', 900), ...keysOf('late', 9_000)]) seen.add(key);
  expect(keysOf('early', 900).filter((key) => seen.take(key)).length).toBeLessThan(10);
});
