/** The local runner over HTTP: a hand-written template with tiny functions, driven as a caller would. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { readTemplate } from '../../../../infra/assembly/template.ts';
import type { DoneInvocation } from '../../../../infra/local/containers/containers.ts';
import { type ControlServer, startControlServer } from '../../../../infra/local/control-server.ts';
import { startGateway } from '../../../../infra/local/gateway/gateway.ts';
import { closeServer } from '../../../../infra/local/http.ts';
import { type LocalStage, startStage } from '../../../../infra/local/stage.ts';
import {
  aliasResources,
  type Fixture,
  functionUri,
  routeResources,
  writeAssembly,
} from '../../../support/local-assembly.ts';

const goodKey = 'key-of-the-good-client';
const dir = mkdtempSync(join(tmpdir(), 'prewarm-stage-'));
/** Once this file is there, the function of scarce concurrency answers. */
const scarceMayAnswer = join(dir, 'scarce-may-answer');

const ECHO_TIMEOUT_MS = 900_000;

const functions: Fixture['functions'] = {
  echo: {
    code: `export const handler = async (event, context) => ({
      statusCode: 200,
      headers: { 'X-Single': 'one', 'WWW-Authenticate': 'mine' },
      multiValueHeaders: { 'set-cookie': ['a=1', 'b=2'] },
      body: JSON.stringify({ event, environment: process.env, deadlineMs: Date.now() + context.getRemainingTimeInMillis(), arn: context.invokedFunctionArn }),
    });`,
    environment: { GREETING: 'hello' },
    timeoutSeconds: ECHO_TIMEOUT_MS / 1_000,
  },
  authorizer: {
    code: `export const handler = async ({ authorizationToken, methodArn }) => {
      const [, name] = authorizationToken.split(' ');
      if (name === 'forged') throw new Error('Unauthorized');
      if (name === 'broken') throw new Error('no connection');
      return {
        principalId: name,
        policyDocument: { Version: '2012-10-17', Statement: [{ Effect: name === 'denied' ? 'Deny' : 'Allow', Action: 'execute-api:Invoke', Resource: methodArn.split('/')[0] + '/*' }] },
        context: { sub: name, number: 7 },
        usageIdentifierKey: name === 'keyless' ? 'no-such-key' : '${goodKey}',
      };
    };`,
  },
  malformed: { code: `export const handler = async () => ({ hello: 'world' });` },
  throwing: { code: `export const handler = async () => { throw new TypeError('secret detail'); };` },
  hanging: {
    code: `export const handler = () => new Promise(() => setInterval(() => {}, 1000));`,
    timeoutSeconds: 1,
  },
  crashing: {
    code: `export const handler = async ({ path }) => path === '/crash' ? process.exit(3) : { statusCode: 200, body: String(process.pid) };`,
  },
  uninitialised: { code: `throw new Error('no configuration');` },
  overlapping: {
    code: `let running = 0; let most = 0;
    export const handler = async () => {
      running += 1; most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 30));
      running -= 1;
      return { statusCode: 200, body: JSON.stringify({ most, pid: process.pid }) };
    };`,
  },
  ticking: {
    code: `setInterval(() => console.log('tick'), 5);
    export const handler = async () => ({ statusCode: 200, body: JSON.stringify({ pid: process.pid }) });`,
  },
  scarce: {
    code: `import { existsSync } from 'node:fs';
    export const handler = async () => {
      while (!existsSync(process.env.MAY_ANSWER)) await new Promise((resolve) => setTimeout(resolve, 10));
      return { statusCode: 200 };
    };`,
    environment: { MAY_ANSWER: scarceMayAnswer },
    timeoutSeconds: 900,
    reservedConcurrency: 1,
  },
  hook: {
    code: `export const handler = async ({ ResponseURL, ResourceProperties }) => {
      const Status = ResourceProperties.Fails ? 'FAILED' : 'SUCCESS';
      await fetch(ResponseURL, { method: 'PUT', body: JSON.stringify({ Status, Reason: 'column exists already' }) });
    };`,
  },
};

const routes = routeResources({
  Echo: { part: 'echo', target: 'echo', isProtected: true },
  EchoId: { part: '{id}', parent: 'Echo', method: 'POST', target: 'echo' },
  EchoAll: { part: 'all', parent: 'Echo', method: 'POST', target: 'malformed' },
  Malformed: { part: 'malformed', target: 'malformed' },
  Throwing: { part: 'throwing', target: 'throwing' },
  Hanging: { part: 'hanging', target: 'hanging' },
  Impatient: { part: 'impatient', target: 'hanging', timeoutMs: 100 },
  Crash: { part: 'crash', target: 'crashing' },
  Survive: { part: 'survive', target: 'crashing' },
  Uninitialised: { part: 'uninitialised', target: 'uninitialised' },
  Overlapping: { part: 'overlapping', target: 'overlapping' },
  Ticking: { part: 'ticking', target: 'ticking' },
  Scarce: { part: 'scarce', target: 'scarce' },
  Mock: { part: 'mock', integration: { Type: 'MOCK' } },
  Limited: { part: 'limited', target: 'echo', isProtected: true },
  Aliased: { part: 'aliased', target: 'echo', isAlias: true },
  Open: { part: 'open', target: 'malformed' },
  Search: {
    part: 'search',
    target: 'echo',
    isProtected: true,
    properties: {
      RequestValidatorId: { Ref: 'Validator' },
      RequestParameters: { 'method.request.querystring.q': true },
    },
  },
  Clear: {
    part: 'clear',
    method: 'POST',
    target: 'echo',
    properties: { RequestValidatorId: { Ref: 'Validator' }, RequestModels: { 'application/json': 'Empty' } },
  },
});

const resources: Fixture['resources'] = {
  ...routes,
  ...aliasResources('echo'),
  Api: {
    Type: 'AWS::ApiGateway::RestApi',
    Properties: { ApiKeySourceType: 'AUTHORIZER', MinimumCompressionSize: 1400 },
  },
  Stage: {
    Type: 'AWS::ApiGateway::Stage',
    Properties: {
      StageName: 'live',
      MethodSettings: [
        {
          HttpMethod: 'GET',
          ResourcePath: '/~1open',
          ThrottlingRateLimit: 1 / 60,
          ThrottlingBurstLimit: 1,
        },
      ],
    },
  },
  Validator: {
    Type: 'AWS::ApiGateway::RequestValidator',
    Properties: { ValidateRequestParameters: true, ValidateRequestBody: true },
  },
  BadParameters: {
    Type: 'AWS::ApiGateway::GatewayResponse',
    Properties: {
      ResponseType: 'BAD_REQUEST_PARAMETERS',
      StatusCode: '400',
      ResponseParameters: { 'gatewayresponse.header.Content-Type': "'application/problem+json'" },
      ResponseTemplates: { 'application/json': '{"detail":$context.error.messageString}' },
    },
  },
  Authorizer: {
    Type: 'AWS::ApiGateway::Authorizer',
    Properties: {
      Type: 'TOKEN',
      AuthorizerUri: functionUri('authorizer'),
      IdentitySource: 'method.request.header.Authorization',
      AuthorizerResultTtlInSeconds: 300,
    },
  },
  Unauthorized: gatewayResponse('UNAUTHORIZED', '401', { 'WWW-Authenticate': "'Bearer'" }),
  Unknown: gatewayResponse('MISSING_AUTHENTICATION_TOKEN', '404', {}),
  Throttled: gatewayResponse('THROTTLED', '429', { 'Retry-After': "'60'" }),
  Plan: {
    Type: 'AWS::ApiGateway::UsagePlan',
    Properties: {
      ApiStages: [{ Throttle: { '/limited/GET': { RateLimit: 2 / 60, BurstLimit: 2 } } }],
      Throttle: { RateLimit: 1000, BurstLimit: 1000 },
    },
  },
  Key: { Type: 'AWS::ApiGateway::ApiKey', Properties: { Enabled: true, Value: goodKey } },
  PlanKey: {
    Type: 'AWS::ApiGateway::UsagePlanKey',
    Properties: { KeyId: { Ref: 'Key' }, UsagePlanId: { Ref: 'Plan' } },
  },
  Broken: {
    Type: 'Custom::Hook',
    DependsOn: 'Deploy',
    Properties: { ServiceToken: { 'Fn::GetAtt': ['hook', 'Arn'] }, Fails: true },
  },
  Deploy: { Type: 'Custom::Hook', Properties: { ServiceToken: { 'Fn::GetAtt': ['hook', 'Arn'] } } },
};

function gatewayResponse(type: string, status: string, headers: Record<string, string>): object {
  const all = { 'Content-Type': "'application/problem+json'", ...headers };
  const named = Object.entries(all).map(([name, value]) => [`gatewayresponse.header.${name}`, value]);
  return {
    Type: 'AWS::ApiGateway::GatewayResponse',
    Properties: {
      ResponseType: type,
      StatusCode: status,
      ResponseParameters: Object.fromEntries(named),
      ResponseTemplates: {
        'application/json': '{"type":"about:blank","traceId":"$context.requestId"}',
      },
    },
  };
}

const lines: string[] = [];
let control: ControlServer;
let stage: LocalStage;

beforeAll(async () => {
  writeAssembly(dir, { functions, resources });
  control = await startControlServer({ jwks: { keys: [] } });
  stage = await start({ containersPerFunction: 2 });
});

afterEach(() => {
  lines.length = 0;
});

afterAll(async () => {
  await stage.stop();
  await control.close();
  rmSync(dir, { recursive: true });
});

function start(options: { containersPerFunction: number; freeze?: boolean }): Promise<LocalStage> {
  return startStage({ assemblyDir: dir, port: 0, control, log: (line) => void lines.push(line), ...options });
}

function call(path: string, init: RequestInit & { token?: string } = {}): Promise<Response> {
  const { token, ...rest } = init;
  return fetch(stage.url + path, {
    ...rest,
    headers: { ...rest.headers, ...(token && { authorization: `Bearer ${token}` }) },
  });
}

type Echo = { event: object; environment: object; deadlineMs: number; arn: string };

async function read<T>(response: Promise<Response>): Promise<T> {
  return (await (await response).json()) as T;
}

/** With any headers: `fetch` has its own opinion of `Host`. */
async function callWith(url: string, headers: OutgoingHttpHeaders, method = 'GET') {
  const sent = request(url, { method, headers }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

describe('a caller', () => {
  it.each(['evil.example', 'evil.example:3000', '127.0.0.1.evil.example', '[::1'])(
    'that names the host %s, as a page does that had its name lead here, gets 403',
    async (host) => {
      const { status, headers, body } = await callWith(`${stage.url}/echo/1`, { host }, 'POST');

      expect(status).toBe(403);
      expect(headers['content-type']).toBe('application/problem+json');
      expect(JSON.parse(body)).toEqual({
        type: 'about:blank',
        title: 'Forbidden',
        status: 403,
        detail: 'The header Host must name 127.0.0.1, localhost or [::1]',
        traceId: headers['x-amzn-requestid'],
      });
    },
  );

  it.each(['127.0.0.1', 'localhost:1', 'LocalHost', '[::1]:3000'])('may name the host %s', async (host) => {
    expect((await callWith(`${stage.url}/echo/1`, { host }, 'POST')).status).toBe(200);
  });

  it('without a token gets 401 and the authorizer is not asked', async () => {
    const asked: DoneInvocation[] = [];
    onTestFinished(stage.onInvocation((done) => void asked.push(done)));

    const response = await call('/echo');

    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({ traceId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(asked).toEqual([]);
  });

  it('with a forged token gets 401, a denied one 403, one without a usage plan 403', async () => {
    expect((await call('/echo', { token: 'forged' })).status).toBe(401);
    expect((await call('/echo', { token: 'denied' })).status).toBe(403);
    expect((await call('/echo', { token: 'keyless' })).status).toBe(403);
  });

  it('gets 500 without the cause when the authorizer fails', async () => {
    const response = await call('/echo', { token: 'broken' });

    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('no connection');
  });

  it('is verified once, however often it calls', async () => {
    const asked: DoneInvocation[] = [];
    onTestFinished(stage.onInvocation((done) => done.folder === 'authorizer' && void asked.push(done)));

    await call('/echo', { token: 'regular' });
    await call('/echo', { token: 'regular' });

    expect(asked).toHaveLength(1);
  });

  it('gets 404, as the template says, for an unknown path and for an unknown method', async () => {
    expect((await call('/nowhere')).status).toBe(404);
    expect((await call('/echo', { method: 'DELETE' })).status).toBe(404);
  });

  it('gets 429 with the headers of the template after its burst, on this method only', async () => {
    const statuses: number[] = [];
    for (let request = 0; request < 3; request += 1)
      statuses.push((await call('/limited', { token: 'good' })).status);
    const refused = await call('/limited', { token: 'good' });

    expect(statuses).toEqual([200, 200, 429]);
    expect(refused.headers.get('retry-after')).toBe('60');
    expect((await call('/echo', { token: 'good' })).status).toBe(200);
  });

  it('gets 400 that names the parameter without which the function is not called', async () => {
    const asked: DoneInvocation[] = [];
    onTestFinished(stage.onInvocation((done) => done.folder === 'echo' && void asked.push(done)));

    const response = await call('/search?limit=3', { token: 'good' });

    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toEqual({ detail: 'Missing required request parameters: [q]' });
    expect(asked).toEqual([]);
    expect((await call('/search?q=ada', { token: 'good' })).status).toBe(200);
  });

  it('learns without a token nothing of what a request lacks', async () => {
    expect((await call('/search')).status).toBe(401);
  });

  it('may leave the body out, but not send another than an object', async () => {
    const clear = (body?: string) =>
      call('/clear', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        ...(body !== undefined && { body }),
      });

    expect((await clear()).status).toBe(200);
    expect((await clear('{"ids":[1]}')).status).toBe(200);
    const refused = await clear('[1]');
    expect(refused.status).toBe(400);
    expect(await refused.json()).toEqual({ message: 'Invalid request body' });
  });

  it('gets 429 without a token as well, where the stage has a limit for all', async () => {
    expect((await call('/open')).status).toBe(502); // the function was called, and is of no use
    expect((await call('/open')).status).toBe(429);
  });

  it('gets a long answer compressed when it asks for that, and as it is otherwise', async () => {
    const long = `/echo?x=${'a'.repeat(1400)}`;
    const ask = (accepted: string) => call(long, { token: 'good', headers: { 'accept-encoding': accepted } });
    const compressed = await ask('gzip');

    expect(compressed.headers.get('content-encoding')).toBe('gzip');
    expect(await compressed.json()).toMatchObject({ event: { path: '/echo' } });
    expect((await ask('identity')).headers.get('content-encoding')).toBeNull();
  });

  it('gets 501 that says what the runner does not implement', async () => {
    const response = await call('/mock');

    expect(response.status).toBe(501);
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('MOCK') });
  });

  it('that goes away in the middle of its body leaves one line, which is no failure', async () => {
    const { promise: logged, resolve } = Promise.withResolvers<string>();
    const functions = { invoke: () => expect.fail('what is no whole request reaches no function') };
    const gateway = await startGateway({ api: readTemplate(dir).api, functions, port: 0, log: resolve });
    onTestFinished(() => closeServer(gateway));
    const socket = connect((gateway.address() as AddressInfo).port, '127.0.0.1');

    const half = `POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n${'a'.repeat(50)}`;
    socket.write(half, () => socket.destroy());

    expect(JSON.parse(await logged)).toEqual({
      time: expect.any(String),
      level: 'info',
      message: 'The client went away before it had sent its body',
      traceId: expect.any(String),
      source: 'gateway',
      method: 'POST',
      url: '/echo/1',
    });
  });

  it('gets 413 for more than 10 MB', async () => {
    const response = await call('/echo/1', { method: 'POST', body: Buffer.alloc(10 * 1024 * 1024 + 1) });

    expect(response.status).toBe(413);
  });
});

describe('a function', () => {
  it('gets the whole event of a REST API, with the path parameter as it was sent', async () => {
    const response = await call('/echo/a%20b?x=1&x=2&y=%C3%A4', {
      method: 'POST',
      body: 'text',
      headers: { 'X-Mixed': 'Case' },
    });
    const { event } = (await response.json()) as Echo;

    expect(event).toMatchObject({
      resource: '/echo/{id}',
      path: '/echo/a%20b',
      httpMethod: 'POST',
      queryStringParameters: { x: '2', y: 'ä' },
      multiValueQueryStringParameters: { x: ['1', '2'], y: ['ä'] },
      pathParameters: { id: 'a%20b' },
      stageVariables: null,
      body: 'text',
      isBase64Encoded: false,
      requestContext: {
        resourcePath: '/echo/{id}',
        path: '/live/echo/a%20b',
        stage: 'live',
        httpMethod: 'POST',
        requestId: response.headers.get('x-amzn-requestid'),
        identity: { sourceIp: '127.0.0.1' },
      },
    });
  });

  it('hears from the authorizer who the caller is, in texts', async () => {
    const { event } = await read<Echo>(call('/echo', { token: 'alice' }));

    expect(event).toMatchObject({
      requestContext: { authorizer: { principalId: 'alice', sub: 'alice', number: '7' } },
      queryStringParameters: null,
      body: null,
    });
  });

  it('sees the template’s environment and Lambda’s, and nothing of the runner’s', async () => {
    process.env['RUNNERS_OWN'] = 'secret';
    const sentAtMs = Date.now();
    const { environment, deadlineMs, arn } = await read<Echo>(call('/echo/1', { method: 'POST' }));
    const inOrder = [sentAtMs, deadlineMs - ECHO_TIMEOUT_MS, Date.now()];

    expect(environment).toMatchObject({
      GREETING: 'hello',
      AWS_LAMBDA_FUNCTION_NAME: 'fixture-echo',
      TZ: ':UTC',
    });
    expect(environment).not.toHaveProperty('RUNNERS_OWN');
    expect(environment).not.toHaveProperty('HOME');
    expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b));
    expect(arn).toMatch(/:function:fixture-echo$/);
  });

  it('answers with several values of a header; what API Gateway keeps for itself comes out renamed', async () => {
    const response = await call('/echo/1', { method: 'POST' });

    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(response.headers.get('x-single')).toBe('one');
    expect(response.headers.get('x-amzn-remapped-www-authenticate')).toBe('mine');
  });

  it('answers through an alias', async () => {
    expect(await read<Echo>(call('/aliased'))).toMatchObject({ event: { resource: '/aliased' } });
  });

  it('is chosen by a fixed segment before a parameter', async () => {
    expect((await call('/echo/all', { method: 'POST' })).status).toBe(502);
  });

  it('that returns no response, throws or cannot start is 502, and the cause is in the log only', async () => {
    expect((await call('/malformed')).status).toBe(502);
    const thrown = await call('/throwing');
    expect(thrown.status).toBe(502);
    expect(await thrown.text()).not.toContain('secret detail');
    expect((await call('/uninitialised')).status).toBe(502);
    expect(lines.join('\n')).toMatch(/secret detail[\s\S]*no configuration/);
    for (const line of lines)
      expect(JSON.parse(line)).toMatchObject({
        time: expect.any(String),
        level: expect.any(String),
        message: expect.any(String),
        traceId: expect.any(String),
      });
  });

  it('that crashes is 502, and the next call gets a new container', async () => {
    const before = await (await call('/survive')).text();
    expect((await call('/crash')).status).toBe(502);
    const after = await (await call('/survive')).text();

    expect(after).not.toBe(before);
  });

  it('that takes longer than its timeout is ended and 502', async () => {
    expect((await call('/hanging')).status).toBe(502);
  });

  it('that takes longer than its integration is 504, before its own timeout makes it 502', async () => {
    expect((await call('/impatient')).status).toBe(504);
  });

  it('runs one invocation at a time, in no more containers than allowed', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => read<{ most: number; pid: number }>(call('/overlapping'))),
    );

    expect(new Set(answers.map(({ most }) => most))).toEqual(new Set([1]));
    expect(new Set(answers.map(({ pid }) => pid)).size).toBeLessThanOrEqual(2);
  });

  it('above its reserved concurrency is refused', async () => {
    const answers = [call('/scarce'), call('/scarce')]; // whichever comes first runs

    expect((await Promise.race(answers)).status).toBe(500);
    writeFileSync(scarceMayAnswer, '');
    expect((await Promise.all(answers)).map(({ status }) => status).sort()).toEqual([200, 500]);
  });
});

describe('the Invoke API', () => {
  const invoke = (name: string, type: string, payload: string) =>
    fetch(`${control.url}/2015-03-31/functions/${encodeURIComponent(name)}/invocations`, {
      method: 'POST',
      headers: { 'x-amz-invocation-type': type },
      body: payload,
    });

  it('is found by the SDK, which keeps the secret in the path of its endpoint', async () => {
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
    const client = new LambdaClient({ endpoint: control.url, region: 'us-east-1', credentials });
    onTestFinished(() => client.destroy());

    const { Payload } = await client.send(new InvokeCommand({ FunctionName: 'fixture-malformed' }));

    expect(Payload?.transformToString()).toBe('{"hello":"world"}');
  });

  it('is not there without the secret, or with another one', async () => {
    const { origin, pathname } = new URL(control.url);
    const path = '/2015-03-31/functions/fixture-malformed/invocations';

    expect(pathname).toMatch(/^\/[\w-]{22,}$/); // 128 bits and more
    for (const secret of ['', '/x', `/${'A'.repeat(pathname.length - 1)}`, `${pathname}x`])
      expect((await callWith(`${origin}${secret}${path}`, {}, 'POST')).status).toBe(404);
    expect((await callWith(`${origin}${pathname}${path}`, {}, 'POST')).status).toBe(200);
  });

  it('is no business of a page, nor of a name that leads here', async () => {
    const url = `${control.url}/2015-03-31/functions/fixture-malformed/invocations`;
    const port = new URL(url).port;
    const strange = ['evil.example', `localhost:${port}`, '127.0.0.1', '127.0.0.1:1'];

    for (const host of strange) expect((await callWith(url, { host }, 'POST')).status).toBe(403);
    for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${port}`])
      expect((await callWith(url, { origin }, 'POST')).status).toBe(403);
  });

  it('answers with the payload, by name and by ARN', async () => {
    const arn = 'arn:aws:lambda:us-east-1:000000000000:function:fixture-malformed';

    expect(await (await invoke('fixture-malformed', 'RequestResponse', '{}')).json()).toEqual({
      hello: 'world',
    });
    expect(await (await invoke(arn, 'RequestResponse', '{}')).json()).toEqual({ hello: 'world' });
  });

  it('answers an event at once and runs it', async () => {
    const { promise, resolve } = Promise.withResolvers<DoneInvocation>();
    onTestFinished(stage.onInvocation((done) => done.folder === 'malformed' && resolve(done)));

    expect((await invoke('fixture-malformed', 'Event', '{"a":1}')).status).toBe(202);
    expect(await promise).toMatchObject({ payload: { a: 1 }, result: { hello: 'world' } });
  });

  it('marks the error of a function, and does not know others', async () => {
    const failed = await invoke('fixture-throwing', 'RequestResponse', '{}');

    expect(failed.headers.get('x-amz-function-error')).toBe('Unhandled');
    expect(await failed.json()).toMatchObject({ errorType: 'TypeError', errorMessage: 'secret detail' });
    expect((await invoke('fixture-none', 'RequestResponse', '{}')).status).toBe(404);
  });

  it('does not accept an event for a function that is not there, nor a type that it does not implement', async () => {
    expect((await invoke('fixture-none', 'Event', '{}')).status).toBe(404);
    const refused = await invoke('fixture-malformed', 'DryRun', '{}');
    expect(refused.status).toBe(501);
    expect(await refused.json()).toMatchObject({ message: 'The local runner does not implement DryRun' });
  });

  it('leaves one line about an event whose function failed', async () => {
    const { promise, resolve } = Promise.withResolvers<DoneInvocation>();
    onTestFinished(stage.onInvocation((done) => done.folder === 'throwing' && resolve(done)));

    await invoke('fixture-throwing', 'Event', '{"traceId":"trace-7"}');
    await promise;

    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({
        level: 'error',
        message: 'secret detail',
        function: 'throwing',
        traceId: 'trace-7',
        time: expect.any(String),
      }),
    ]);
  });
});

describe('the public keys', () => {
  it('are there without the secret, but for no page', async () => {
    expect(JSON.parse((await callWith(control.jwksUri, {})).body)).toEqual({ keys: [] });
    expect(control.jwksUri).not.toContain(new URL(control.url).pathname);
    expect((await callWith(control.jwksUri, { host: 'evil.example' })).status).toBe(403);
    expect((await callWith(control.jwksUri, { origin: 'https://evil.example' })).status).toBe(403);
  });
});

describe('custom resources', () => {
  it('answer at an address that only their function knows', async () => {
    const { responseUrl, forget } = control.expectAnswer();
    onTestFinished(forget);
    const { origin, pathname } = new URL(responseUrl);
    const answer = pathname.slice(pathname.indexOf('/responses/'));

    expect((await callWith(`${origin}${answer}`, {}, 'PUT')).status).toBe(404);
    expect(responseUrl).toBe(`${control.url}${answer}`);
  });

  it('are created after what they depend on, and reject with the reason of their function', async () => {
    const created: string[] = [];
    const deployed = stage.deploy(async (folder, create) => {
      await create();
      created.push(folder);
    });

    await expect(deployed).rejects.toThrow('column exists already');
    expect(created).toEqual(['hook']);
  });
});

/** As the system tells it, in one letter: `T` is stopped by a signal. */
function stateOf(pid: number): string | undefined {
  if (process.platform !== 'linux')
    return execFileSync('ps', ['-o', 'stat=', '-p', `${pid}`], { encoding: 'utf8' })[0];
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat[stat.lastIndexOf(')') + 2]; // after the name, which may itself hold spaces and brackets
}

describe('a container', () => {
  it('that is frozen is stopped between its invocations', async () => {
    const frozen = await start({ containersPerFunction: 1, freeze: true });
    onTestFinished(() => frozen.stop());
    const tick = () => read<{ pid: number }>(fetch(`${frozen.url}/ticking`));
    const { pid } = await tick();
    await expect.poll(() => stateOf(pid)).toBe('T');
    expect(await tick()).toEqual({ pid });
    await expect.poll(() => stateOf(pid)).toBe('T');
  });

  it('ends with its stage, frozen or not', async () => {
    const ended: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const frozen = await startStage({
      assemblyDir: dir,
      port: 0,
      control,
      containersPerFunction: 1,
      log: () => {},
      freeze: true,
      watcher: { watch: () => {}, forget: (pid) => resolve(void ended.push(pid)) },
    });
    const { pid } = await read<{ pid: number }>(fetch(`${frozen.url}/ticking`));

    await frozen.stop();
    await promise;

    expect(ended).toEqual([pid]);
  });
});

it('a taken port is an error that names it', async () => {
  const port = Number(new URL(stage.url).port);
  const options = { assemblyDir: dir, port, control, containersPerFunction: 1, log: () => {} };

  await expect(startStage(options)).rejects.toMatchObject({ code: 'EADDRINUSE', port });
});
