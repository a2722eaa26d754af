/** What the checks make of answers that a healthy local stage never gives, from a server on loopback. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkHealth, checkRead, checkRefusal, checkStatus } from '../../../../infra/smoke-test/checks.ts';

type Scripted = {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
};

/** Gives the answers one after the other; the last one stays. */
async function serve(...answers: [Scripted, ...Scripted[]]) {
  let asked = 0;
  const server = createServer((_, answer) => {
    const { status = 200, headers = {}, body } = answers[Math.min(asked++, answers.length - 1)] ?? answers[0];
    answer.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked };
}

const atOnce = { 'retry-after': '0.01' };
const problem = { title: 'Forbidden', detail: 'The scope is missing.', traceId: 'trace-1' };

describe('the health', () => {
  it('without Redis is a warning, since reads are answered', async () => {
    const { url } = await serve({ body: { status: 'degraded' } });

    expect(await checkHealth(url)).toEqual({
      text: 'GET /health: degraded',
      warning: expect.stringContaining('Redis is away'),
    });
  });

  it('is asked for again when a moment later may be better', async () => {
    const { url, asked } = await serve(
      { status: 503, headers: atOnce },
      { status: 502, headers: atOnce },
      { body: { status: 'ok' } },
    );

    expect(await checkHealth(url)).toEqual({ text: 'GET /health: ok' });
    expect(asked()).toBe(3);
  });

  it('without Postgres is a failure after three tries', async () => {
    const { url, asked } = await serve({ status: 503, headers: atOnce, body: { status: 'unavailable' } });

    await expect(checkHealth(url)).rejects.toMatchObject({
      message: 'GET /health: 503',
      next: expect.stringContaining('Postgres does not answer'),
    });
    expect(asked()).toBe(3);
  });

  it('of something else than this API is a failure', async () => {
    const { url } = await serve({ body: 'hello' });

    await expect(checkHealth(url)).rejects.toMatchObject({
      message: 'GET /health: 200',
      next: expect.stringContaining('Compare the address'),
    });
  });
});

describe('who has no token', () => {
  it.each<[string, Scripted, string]>([
    ['reads', { body: { id: 1 } }, '200 instead of 401'],
    [
      'is refused in another form',
      { status: 401, body: { message: 'Unauthorized' } },
      '401 instead of 401 as',
    ],
  ])('%s: a failure', async (_, answer, message) => {
    const { url } = await serve(answer);

    await expect(checkRefusal(url)).rejects.toThrow(message);
  });
});

describe('who has a token', () => {
  it('and is refused hears what the API said', async () => {
    const { url } = await serve({ status: 403, body: problem });

    await expect(checkRead(url, 'token')).rejects.toMatchObject({
      message: 'GET /users?ids=1,2: 403 Forbidden: The scope is missing. (traceId trace-1)',
      next: expect.stringContaining('users:read and cache:admin'),
    });
  });

  it('and used up its limit tries again when it may', async () => {
    const body = { redis: { available: true }, warmup: { runningTraceId: null, lastReports: [] } };
    const { url, asked } = await serve({ status: 429, headers: atOnce }, { body });

    expect((await checkStatus(url, 'token')).status).toEqual(body);
    expect(asked()).toBe(2);
  });

  it.each([{}, 'hello', { redis: { available: true } }, { redis: 'yes' }])(
    'and gets %j is at another API',
    async (body) => {
      const { url } = await serve({ body });

      await expect(checkStatus(url, 'token')).rejects.toMatchObject({
        message: expect.stringContaining('not in the form that was expected'),
      });
      await expect(checkRead(url, 'token')).rejects.toThrow('not in the form that was expected');
    },
  );

  it('hears in the status that Redis is away', async () => {
    const { url } = await serve({ body: { redis: { available: false } } });

    expect((await checkStatus(url, 'token')).warning).toContain('Redis is away');
  });
});
