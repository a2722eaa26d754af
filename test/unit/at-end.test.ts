/** When what tests open is closed, and in which order. */
import { beforeAll, describe, expect, it } from 'vitest';
import { atEnd, atFileEnd, closedAtEnd, endFile } from '../support/at-end.ts';

const closed: string[] = [];
const closing = (name: string) => () => void closed.push(name);

beforeAll(() => atEnd(closing('of the file')));

describe('what a test opens', () => {
  it('is open for as long as it runs', async () => {
    atEnd(closing('first'));
    closedAtEnd({ close: closing('second') });
    expect(closed).toEqual([]);
  });

  it('is closed then, the last one first, and the file’s is not', () => {
    expect(closed.splice(0)).toEqual(['second', 'first']);
  });

  it.concurrent('beside others is open for as long as the file’s', () => {
    closedAtEnd({ disconnect: closing('beside others') });
  });
});

it('at the end of the file everything is closed, also when something cannot be', async () => {
  const cannot = new Error('stuck');
  atFileEnd(() => Promise.reject(cannot));
  await expect(endFile()).rejects.toMatchObject({ errors: [cannot] });
  expect(closed).toEqual(['beside others', 'of the file']);
});
