/** What admins may send: the good is read, the bad is answered with its field. */
import { describe, expect, it } from 'vitest';
import { parseClearBody, parseWaitSeconds } from '../../../../functions/admin/input.ts';

describe('the body of a clear', () => {
  it.each([null, '', '{}'])('%j means everything', (body) => {
    expect(parseClearBody(body, ['users', 'user-search'])).toEqual({});
  });

  it.each([
    ['{', 'body'],
    ['[]', 'body'],
    ['{"dataset":"orders"}', 'body.dataset'],
    ['{"ids":[]}', 'body.ids'],
    ['{"ids":["1"]}', 'body.ids.0'],
    ['{"everything":true}', 'body'],
  ])('%s is refused for "%s"', (body, field) => {
    expect(() => parseClearBody(body, ['users', 'user-search'])).toThrow(expect.objectContaining({ field }));
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
