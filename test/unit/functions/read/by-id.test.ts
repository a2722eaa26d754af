/** What ids callers may send: the good are read, the bad are answered with their field and what was expected. */
import { describe, expect, it } from 'vitest';
import { parseId, parseIds } from '../../../../functions/read/by-id.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { InvalidInputError } from '../../../../shared/errors.ts';

const USERS = { dataset: users, expectedId: 'an integer from 1 to 9007199254740991' };

describe('a user id', () => {
  const parse = (text: string | undefined) => parseId(USERS, 'id', text);

  it.each(['1', '20500', '9007199254740991'])('may be %s', (text) => {
    expect(parse(text)).toBe(Number(text));
  });

  it.each([
    '0',
    '-1',
    '01',
    '1.5',
    '1e3',
    ' 1',
    'abc',
    '',
    '9007199254740992',
    '99999999999999999',
    undefined,
  ])('may not be %j', (text) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ field: 'id', expected: 'an integer from 1 to 9007199254740991' }),
    );
  });
});

describe('a list of ids', () => {
  const parse = (text: string | undefined) => parseIds(USERS, 'ids', text);

  it('keeps its order and its repetitions', () => {
    expect(parse('3,1,3')).toEqual([3, 1, 3]);
  });

  it('names the id that is none', () => {
    expect(() => parse('1,x')).toThrow(expect.objectContaining({ field: 'ids.1' }));
  });

  it('of over 100 is refused for its length, whatever is in it', () => {
    expect(() => parse(`x,${'1,'.repeat(100)}1`)).toThrow(expect.objectContaining({ field: 'ids' }));
  });

  it.each([undefined, '', Array.from({ length: 101 }, (_, index) => index + 1).join()])(
    'is refused when empty or over 100',
    (text) => {
      expect(() => parse(text)).toThrow(InvalidInputError);
    },
  );
});
