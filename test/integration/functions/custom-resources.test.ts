/** The functions that CloudFormation calls: the hook never fails a deployment, a failed migration always does. */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CloudFormationCustomResourceEvent, Context } from 'aws-lambda';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { closedAtEnd } from '../../support/at-end.ts';
import { type IsolatedServers, isolatedServers } from '../../support/servers.ts';

type Received = { method: string; path: string; contentType: string | undefined; body: string };

/** Takes CloudFormation's answers, and, on another path, what goes to the Lambda service. */
class Endpoint {
  readonly received: Received[] = [];
  /** How often an answer is refused before it is taken. */
  refusals = 0;
  /** What the warmer answers who waits for it; undefined while it runs. */
  report: string | undefined = '{"status":"success"}';
  /** Whether both containers of the warmer are busy: Lambda queues for nobody who waits. */
  isThrottled = false;
  readonly #server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    this.received.push({
      method: request.method ?? '',
      path: request.url ?? '',
      contentType: request.headers['content-type'],
      body,
    });
    if (request.headers['x-amz-invocation-type'] === 'RequestResponse') return this.#invoke(response);
    response.statusCode = this.refusals-- > 0 ? 503 : 200;
    response.end();
  });

  #invoke(response: ServerResponse): void {
    if (this.isThrottled)
      response.writeHead(429, { 'x-amzn-errortype': 'TooManyRequestsException' }).end('{}');
    else if (this.report !== undefined) response.end(this.report);
  }

  get invocations() {
    return this.received.filter(({ path }) => path.includes('/functions/warmer/invocations'));
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get answers() {
    return this.received.filter(({ path }) => path === '/answer').map(({ body }) => JSON.parse(body));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

let endpoint: Endpoint;
let servers: IsolatedServers;

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
});
beforeEach(async () => {
  endpoint = closedAtEnd(new Endpoint());
  await endpoint.start();
  vi.resetModules();
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function eventOf(type: 'Create' | 'Update' | 'Delete'): CloudFormationCustomResourceEvent {
  return {
    RequestType: type,
    ServiceToken: 'arn',
    ResponseURL: `${endpoint.url}/answer`,
    StackId: 'stack',
    RequestId: 'request-1',
    LogicalResourceId: 'Resource',
    ResourceType: 'Custom::Resource',
    PhysicalResourceId: 'physical',
    ResourceProperties: { ServiceToken: 'arn' },
    OldResourceProperties: {},
  } as CloudFormationCustomResourceEvent;
}

describe('the deployment hook', () => {
  async function run(
    type: 'Create' | 'Update' | 'Delete',
    lambdaUrl: string,
    changed: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    vi.stubEnv('WARMER_FUNCTION_NAME', 'warmer');
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
    vi.stubEnv('AWS_ENDPOINT_URL_LAMBDA', lambdaUrl);
    vi.stubEnv('WAIT_FOR_WARM_UP_MS', '20000');
    for (const [name, value] of Object.entries(changed)) vi.stubEnv(name, value);
    const { handler } = await import('../../../functions/deployment-hook/handler.ts');
    await handler(eventOf(type), { getRemainingTimeInMillis: () => 30_000 } as Context);
  }

  it.each(['Create', 'Update'] as const)('runs a warm-up at %s and says so', async (type) => {
    await run(type, endpoint.url);
    expect(endpoint.invocations).toHaveLength(1);
    expect(JSON.parse(endpoint.invocations[0]?.body ?? '')).toEqual({
      trigger: 'deploy',
      traceId: 'request-1',
    });
    expect(endpoint.answers).toEqual([
      expect.objectContaining({ Status: 'SUCCESS', RequestId: 'request-1', Data: { TraceId: 'request-1' } }),
    ]);
  });

  it('answers after the warm-up has ended, so that traffic moves to a warm cache', async () => {
    await run('Update', endpoint.url);
    const paths = endpoint.received.map(({ path }) => path);
    expect(paths).toEqual([expect.stringContaining('/functions/warmer/invocations'), '/answer']);
  });

  it('waits no longer than it may, and leaves the warm-up to go on', async () => {
    endpoint.report = undefined;
    await run('Update', endpoint.url, { WAIT_FOR_WARM_UP_MS: '1000' });
    expect(endpoint.invocations).toHaveLength(1);
    expect(endpoint.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });

  it('has a warm-up queued that cannot be waited for, because the warmer is busy', async () => {
    endpoint.isThrottled = true;
    await run('Update', endpoint.url);
    const traces = endpoint.invocations.map(({ body }) => JSON.parse(body).traceId);
    expect(traces.at(-1)).toBe('request-1');
    expect(endpoint.received.at(-1)?.path).toBe('/answer');
    expect(endpoint.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });

  it('reports success although the warmer cannot be started', async () => {
    await run('Update', 'http://127.0.0.1:1');
    expect(endpoint.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });

  it('starts nothing when the stack is deleted', async () => {
    await run('Delete', endpoint.url);
    expect(endpoint.received.map(({ path }) => path)).toEqual(['/answer']);
  });

  it('reports success, and logs an error that an alarm can count, although it does not know its warmer', async () => {
    vi.stubEnv('LOG_LEVEL', 'error');
    const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    await run('Update', endpoint.url, { WARMER_FUNCTION_NAME: '' });
    const lines = written.mock.calls.map(([line]) => JSON.parse(String(line)));
    written.mockRestore();
    expect(endpoint.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'error',
        message: 'The deployment could not start a warm-up.',
        error: expect.objectContaining({ variable: 'WARMER_FUNCTION_NAME' }),
      }),
    ]);
  });

  it.each(['Create', 'Delete'] as const)(
    'reports success at %s although its environment is empty',
    async (type) => {
      const names = ['WARMER_FUNCTION_NAME', 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
      await run(type, endpoint.url, Object.fromEntries(names.map((name) => [name, ''])));
      expect(endpoint.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
    },
  );

  it('sends its answer again until it is taken, and without a content type', async () => {
    endpoint.refusals = 2;
    await run('Delete', endpoint.url);
    expect(endpoint.received).toHaveLength(3);
    expect(endpoint.received[0]).toMatchObject({ method: 'PUT', contentType: undefined });
  });
});

describe('the migrations', () => {
  async function run(databaseUrl: string): Promise<void> {
    vi.stubEnv('DATABASE_URL', databaseUrl);
    const { handler } = await import('../../../functions/migrate/handler.ts');
    await handler(eventOf('Update'));
  }

  it('report success when the database is up to date', async () => {
    await run(servers.databaseUrl);
    expect(endpoint.answers).toEqual([
      expect.objectContaining({ Status: 'SUCCESS', Data: { Applied: '0' } }),
    ]);
  });

  it('report failure and its reason when the database cannot be reached', async () => {
    await run('postgres://nobody@127.0.0.1:1/none');
    expect(endpoint.answers).toEqual([
      expect.objectContaining({ Status: 'FAILED', Reason: expect.stringContaining('ECONNREFUSED') }),
    ]);
  });

  it('report why a host with several addresses refuses, though the refusal itself has no message', async () => {
    await run('postgres://nobody@localhost:1/none');
    expect(endpoint.answers).toEqual([
      expect.objectContaining({ Status: 'FAILED', Reason: expect.stringMatching(/ECONNREFUSED.*:1\b/) }),
    ]);
  });
});

describe('a reason', () => {
  const answerWith = async (reason: string) => {
    const { answerCustomResource } = await import('../../../shared/aws/custom-resource.ts');
    await answerCustomResource(eventOf('Update'), 'physical', { status: 'FAILED', reason });
    const [{ body } = { body: '' }] = endpoint.received;
    return { bytes: Buffer.byteLength(body), reason: JSON.parse(body).Reason as string };
  };

  it.each([
    ['x', 10_000],
    ['é😀', 5_000],
    ['\u0001', 5_000],
    ['\n"', 5_000],
  ])('of %j, ever so long, is cut to what CloudFormation takes', async (part, times) => {
    const { bytes, reason } = await answerWith(part.repeat(times));
    expect(bytes).toBeLessThanOrEqual(4_096);
    expect(bytes).toBeGreaterThan(3_000);
    expect(reason.endsWith('…')).toBe(true);
    expect(reason.isWellFormed()).toBe(true);
  });

  it('that fits is told as it is, and one that is empty is not empty', async () => {
    expect((await answerWith('The table is locked.')).reason).toBe('The table is locked.');
    endpoint.received.length = 0;
    expect((await answerWith(' ')).reason).toContain('the log of the function');
  });
});
