/** The chain around every route: whose request a line is about, when a token has ended, and what is left as it was. */
import type { Context } from 'aws-lambda';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InvocationError, RedisUnavailableError, StandbyError } from '../../../../shared/errors.ts';
import { type Answer, answerJson } from '../../../../shared/http/answer.ts';
import { type ApiRequest, apiHandler } from '../../../../shared/http/api.ts';
import { log, setLogLevel } from '../../../../shared/logger.ts';
import type { Scope } from '../../../../shared/routes.ts';

const NOW_S = Math.floor(Date.now() / 1_000);
const CONTEXT = {} as Context;
const write = vi.spyOn(process.stdout, 'write');

beforeEach(() => {
  write.mockReturnValue(true);
  setLogLevel('info');
});
afterEach(() => {
  write.mockReset();
  setLogLevel('silent');
});

const lines = () => write.mock.calls.map(([line]) => JSON.parse(String(line)));

function request(
  requestId: string,
  authorizer: object | null = { scope: 'users:read', exp: String(NOW_S + 60) },
) {
  return { httpMethod: 'GET', resource: '/', requestContext: { requestId, authorizer } } as ApiRequest;
}

const serve = (
  answer: (request: ApiRequest) => Promise<Answer>,
  flush = async () => {},
  scope: Scope | null = null,
) => apiHandler({ 'GET /': answer }, flush, { 'GET /': { answeredBy: 'read', scope } });

describe('many requests at once in one process', () => {
  it('each have their own traceId, in their lines and in their answers, and wait for their own metrics', async () => {
    const gate = Promise.withResolvers<void>();
    let flushed = 0;
    const handler = serve(
      async (asked) => {
        await gate.promise;
        log.info('test.answering', 'Answering.', { asked: asked.requestContext.requestId });
        return answerJson('{}');
      },
      async () => {
        await gate.promise;
        flushed++;
      },
    );
    const ids = Array.from({ length: 64 }, (_, index) => `request-${index}`);
    const answers = ids.map((id) => handler(request(id), CONTEXT));
    gate.resolve();
    expect((await Promise.all(answers)).map(({ headers }) => headers?.['x-trace-id'])).toEqual(ids);
    expect(lines()).toHaveLength(64);
    for (const { traceId, asked } of lines()) expect(traceId).toBe(asked);
    expect(flushed).toBe(64);
  });

  it('that get the same answer leave it as it was', async () => {
    const answer = answerJson('{"status":"ok"}');
    const handler = serve(async () => answer);
    const [one, other] = [await handler(request('one'), CONTEXT), await handler(request('other'), CONTEXT)];
    expect([one.headers?.['x-trace-id'], other.headers?.['x-trace-id']]).toEqual(['one', 'other']);
    expect(answer.headers).toEqual({ 'content-type': 'application/json' });
  });
});

describe('a token', () => {
  const handler = serve(async () => answerJson('{}'), undefined, 'users:read');
  const statusWith = async (authorizer: object | null) => {
    const { statusCode, headers } = await handler(request('id', authorizer), CONTEXT);
    return [statusCode, headers?.['www-authenticate']];
  };
  const refused = [401, expect.stringContaining('Bearer')];

  it('that has not ended is accepted', async () => {
    expect(await statusWith({ scope: 'users:read', exp: String(NOW_S + 60) })).toEqual([200, undefined]);
  });

  it.each([
    ['ended a second ago', String(NOW_S - 1)],
    ['has no end', undefined],
    ['has an end that is no number', 'never'],
  ])('that %s is 401, whatever the authorizer said minutes ago', async (_, exp) => {
    expect(await statusWith({ scope: 'users:read', exp })).toEqual(refused);
    // Before its scopes are looked at: 403 would say that another token of the same kind does not help.
    expect(await statusWith({ scope: 'none', exp })).toEqual(refused);
  });

  it('without the scope is 403', async () => {
    expect(await statusWith({ scope: 'none', exp: String(NOW_S + 60) })).toEqual([403, undefined]);
    expect(await statusWith(null)).toEqual([403, undefined]);
  });
});

describe('a request that is not answered as asked', () => {
  it('because of the caller is told in one line without a stack', async () => {
    await apiHandler({}, async () => {})(request('lost'), CONTEXT);
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'info', traceId: 'lost', status: 404, reason: expect.any(String) }),
    ]);
    expect(JSON.stringify(lines())).not.toContain('stack');
  });

  it('because of us is an error with its stack', async () => {
    const handler = serve(async () => Promise.reject(new TypeError('a fault of ours')));
    expect((await handler(request('broken'), CONTEXT)).statusCode).toBe(500);
    expect(lines()).toMatchObject([
      { level: 'error', traceId: 'broken', error: { stack: expect.any(String) } },
    ]);
  });
});

describe('what is away', () => {
  const detailOf = async (error: Error) => {
    const handler = serve(() => Promise.reject(error));
    const { statusCode, body } = await handler(request('id'), CONTEXT);
    return [statusCode, JSON.parse(body).detail];
  };

  it.each([
    [new InvocationError('prewarm-prod-WarmerFunction1234'), 'The warm-up could not be run.'],
    [new StandbyError(), 'Postgres did not answer.'],
    [new RedisUnavailableError('Redis is known not to answer.'), 'Redis did not answer.'],
  ])('is told without the names of functions and settings', async (error, told) => {
    expect(await detailOf(error)).toEqual([503, `${told} Try again in a moment.`]);
  });
});
