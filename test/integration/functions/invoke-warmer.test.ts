/** Starting the warmer: what its caller is told when the answer is late, broken, or a failure. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

/** Longer than any answer takes. */
const PATIENT_MS = 60_000;

let server: Server;
let respond: (request: IncomingMessage, response: ServerResponse) => void;
let requests = 0;
const event = { trigger: 'manual', traceId: 't' } as const;

beforeEach(async () => {
  requests = 0;
  server = createServer((request, response) => {
    requests++;
    request.resume().once('end', () => respond(request, response));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  vi.resetModules();
  vi.stubEnv('AWS_REGION', 'eu-west-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  vi.stubEnv('AWS_ENDPOINT_URL_LAMBDA', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  vi.unstubAllEnvs();
});

const runWarmer = async (waitMs: number) =>
  (await import('../../../shared/aws/invoke-warmer.ts')).runWarmer('warmer', event, waitMs);

describe('a warm-up that is waited for', () => {
  it('answers its report', async () => {
    respond = (_, response) => response.end(JSON.stringify({ status: 'success' }));
    expect(await runWarmer(PATIENT_MS)).toEqual({ status: 'success' });
  });

  it('answers nothing when it takes longer than the wait', async () => {
    respond = () => {};
    expect(await runWarmer(50)).toBeUndefined();
  });

  it('is tried again once when the connection was dead, as one kept over a freeze is', async () => {
    respond = (request, response) => {
      if (requests === 1) request.socket.destroy();
      else response.end(JSON.stringify({ status: 'success' }));
    };
    expect(await runWarmer(PATIENT_MS)).toEqual({ status: 'success' });
  });

  it('that could not be started is an error, and not one that goes on somewhere', async () => {
    respond = (request) => request.socket.destroy();
    await expect(runWarmer(PATIENT_MS)).rejects.toMatchObject({
      name: 'InvocationError',
      functionName: 'warmer',
    });
  });

  it('that failed is an error', async () => {
    respond = (_, response) => {
      response.setHeader('x-amz-function-error', 'Unhandled').end('{"errorMessage":"boom"}');
    };
    await expect(runWarmer(PATIENT_MS)).rejects.toMatchObject({
      cause: { message: expect.stringContaining('boom') },
    });
  });
});
