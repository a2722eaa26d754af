/** The behaviour of infra/local/log-line.ts. */
import { expect, it } from 'vitest';
import { toLogLine, traceIdOf } from '../../../../infra/local/log-line.ts';

it("a logger's line stays as it is, any other becomes one", () => {
  const own = '{"message":"done"}';

  expect(toLogLine(own, 'info', 't')).toBe(own);
  expect(JSON.parse(toLogLine('{ broken', 'error', 't'))).toEqual({
    time: expect.any(String),
    level: 'error',
    message: '{ broken',
    traceId: 't',
  });
});

it.each([
  [{ traceId: 'a', requestContext: { requestId: 'b' } }, 'a'],
  [{ requestContext: { requestId: 'b' } }, 'b'],
  [{ RequestId: 'c' }, 'c'],
  [{ traceId: 7 }, 'other'],
  [null, 'other'],
])('of %j the trace is %s', (payload, traceId) => {
  expect(traceIdOf(payload, 'other')).toBe(traceId);
});
