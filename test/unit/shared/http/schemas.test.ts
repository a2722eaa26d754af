/** What callers may send: the good is read, the bad is answered with its field and what was expected. */
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '../../../../shared/errors.ts';
import {
  parseClearBody,
  parseSearch,
  parseUserId,
  parseUserIds,
  parseWaitSeconds,
} from '../../../../shared/http/schemas.ts';

describe('a user id', () => {
  it.each(['1', '20500', '9007199254740991'])('may be %s', (text) => {
    expect(parseUserId(text)).toBe(Number(text));
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
    expect(() => parseUserId(text)).toThrow(
      expect.objectContaining({ field: 'id', expected: 'an integer from 1 to 9007199254740991' }),
    );
  });
});

describe('a list of ids', () => {
  it('keeps its order and its repetitions', () => {
    expect(parseUserIds('3,1,3')).toEqual([3, 1, 3]);
  });

  it('names the id that is none', () => {
    expect(() => parseUserIds('1,x')).toThrow(expect.objectContaining({ field: 'ids.1' }));
  });

  it.each([undefined, '', Array.from({ length: 101 }, (_, index) => index + 1).join()])(
    'is refused when empty or over 100',
    (text) => {
      expect(() => parseUserIds(text)).toThrow(InvalidInputError);
    },
  );
});

describe('a search', () => {
  it('does not care for case and white space', () => {
    expect(parseSearch({ q: '  Ada \t LOVE ' })).toEqual({ query: 'ada love', limit: 20, after: null });
  });

  it('goes on after a cursor', () => {
    expect(parseSearch({ q: 'ada', limit: '5', cursor: '120-7' })).toEqual({
      query: 'ada',
      limit: 5,
      after: { followerCount: 120, id: 7 },
    });
  });

  it.each([
    [{}, 'q'],
    [{ q: 'a' }, 'q'],
    [{ q: 'x'.repeat(65) }, 'q'],
    [{ q: 'a\0b' }, 'q'],
    [{ q: '😀' }, 'q'],
    [{ q: 'a\u0301' }, 'q'],
    [{ q: 'ab\ud83d' }, 'q'],
    [{ q: '😀'.repeat(65) }, 'q'],
    [{ q: 'ada', limit: '51' }, 'limit'],
    [{ q: 'ada', cursor: '2147483648-1' }, 'cursor'],
    [{ q: 'ada', cursor: '1-9007199254740992' }, 'cursor'],
    [{ q: 'ada', limit: '0' }, 'limit'],
    [{ q: 'ada', cursor: 'DROP' }, 'cursor'],
  ])('%j is refused for its %s', (parameters, field) => {
    expect(() => parseSearch(parameters)).toThrow(expect.objectContaining({ field }));
  });
});

describe('the body of a clear', () => {
  it.each([null, '', '{}'])('%j means everything', (body) => {
    expect(parseClearBody(body)).toEqual({});
  });

  it.each([
    ['{', 'body'],
    ['[]', 'body'],
    ['{"dataset":"orders"}', 'body.dataset'],
    ['{"ids":[]}', 'body.ids'],
    ['{"ids":["1"]}', 'body.ids.0'],
    ['{"everything":true}', 'body'],
  ])('%s is refused for "%s"', (body, field) => {
    expect(() => parseClearBody(body)).toThrow(expect.objectContaining({ field }));
  });
});

describe('Prefer', () => {
  it.each([
    [undefined, 0],
    ['wait=5', 5],
    ['respond-async, wait=20', 20],
    ['wait=9999', 20],
    ['wait=x', 0],
    ['await=5', 0],
  ])('%j waits %d s', (header, seconds) => {
    expect(parseWaitSeconds(header)).toBe(seconds);
  });
});
