/** The behaviour of infra/local/gateway/validation.ts. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HttpRequest } from '../../../../../infra/local/gateway/http-request.ts';
import { validate } from '../../../../../infra/local/gateway/validation.ts';

const nothing = { query: [], headers: [], objectBody: false };

type Parts = { query?: string; headers?: HttpRequest['headers']; body?: string };

function request({ query = '', headers = [], body = '' }: Parts): HttpRequest {
  return {
    requestId: 'id',
    method: 'POST',
    path: '/clear',
    query,
    headers,
    sourceIp: '127.0.0.1',
    receivedAtMs: 0,
    body: Buffer.from(body),
  };
}

describe('required parameters', () => {
  it.each(['q=ada', 'limit=1&q=a', 'q=%20', 'q=1&q=2'])('are there in %s', (query) => {
    expect(() => validate(request({ query }), { ...nothing, query: ['q'] })).not.toThrow();
  });

  it.each(['', 'q', 'q=', 'Q=ada', 'query=q'])('are missing in %j', (query) => {
    expect(() => validate(request({ query }), { ...nothing, query: ['q'] })).toThrow(
      expect.objectContaining({
        type: 'BAD_REQUEST_PARAMETERS',
        status: 400,
        message: 'Missing required request parameters: [q]',
      }),
    );
  });

  it('are all named, headers in whatever case they came', () => {
    const spec = { ...nothing, headers: ['x-tenant', 'x-other'], query: ['a', 'b'] };

    expect(() => validate(request({ query: 'b=1', headers: [['X-Tenant', 't']] }), spec)).toThrow(
      'Missing required request parameters: [x-other, a]',
    );
  });
});

describe('a body that must be an object', () => {
  const spec = { ...nothing, objectBody: true };

  it('may be missing, and may be any object', () => {
    expect(() => validate(request({}), spec)).not.toThrow();
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        expect(() => validate(request({ body: JSON.stringify(value) }), spec)).not.toThrow();
      }),
    );
  });

  it.each(['[]', 'null', '1', '"{}"', '{', 'ids=1'])('may not be %s', (body) => {
    expect(() => validate(request({ body }), spec)).toThrow(
      expect.objectContaining({ type: 'BAD_REQUEST_BODY', status: 400, message: 'Invalid request body' }),
    );
  });

  it('is looked at when it says that it is JSON, and not otherwise', () => {
    const typed = (type: string) => request({ body: '[]', headers: [['Content-Type', type]] });

    expect(() => validate(typed('Application/JSON; charset=utf-8'), spec)).toThrow('Invalid request body');
    expect(() => validate(typed('text/plain'), spec)).not.toThrow();
  });

  it('is no matter where nothing is asked of it', () => {
    expect(() => validate(request({ body: '[]' }), nothing)).not.toThrow();
  });
});
