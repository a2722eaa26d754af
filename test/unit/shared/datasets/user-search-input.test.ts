/** What callers may search for: the good is read, the bad is answered with its field. */
import { describe, expect, it } from 'vitest';
import { parseSearch } from '../../../../shared/datasets/user-search-input.ts';

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
