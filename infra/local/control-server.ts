/** The loopback server beside the API: the issuer's public keys, Lambda's Invoke API, and where custom resources answer. */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { finished } from 'node:stream/promises';
import { functionNameOf } from '../assembly/resources.ts';
import type { Outcome } from './containers/container.ts';
import type { Functions, InvocationType } from './containers/containers.ts';
import { readBody } from './gateway/http-body.ts';

/** What a custom resource's function puts to its ResponseURL. */
export type ResourceAnswer = { readonly Status: 'SUCCESS' | 'FAILED'; readonly Reason?: string };

export type ControlServer = {
  /** With a secret in its path: who knows it may invoke every function, as any caller. */
  readonly url: string;
  /** Without it: the keys are public, and this address is kept in the template. */
  readonly jwksUri: string;
  /** Whom the Invoke API invokes; nobody before. */
  serve(functions: Pick<Functions, 'has' | 'invoke'>): void;
  /** A new ResponseURL; `answer` resolves at the first PUT. Forget it when nobody waits any more. */
  expectAnswer(): { readonly responseUrl: string; readonly answer: Promise<ResourceAnswer>; forget(): void };
  close(): Promise<void>;
};

type State = {
  readonly jwks: object;
  readonly secret: Buffer;
  readonly answers: Map<string, (answer: ResourceAnswer) => void>;
  functions?: Pick<Functions, 'has' | 'invoke'>;
};

const JWKS_PATH = '/.well-known/jwks.json';
const SECRET_BYTES = 24;
const invokePath = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;
/** What Lambda takes in a synchronous invocation. */
const maxPayloadBytes = 6 * 1024 * 1024;

/** Listens on a free port of the loopback interface, which every user and every web page of this machine can reach. */
export async function startControlServer({ jwks }: { jwks: object }): Promise<ControlServer> {
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  const state: State = { jwks, secret: Buffer.from(secret), answers: new Map() };
  const server = createServer((request, response) => void handle(state, request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `${origin}/${secret}`;
  return {
    url,
    jwksUri: origin + JWKS_PATH,
    serve(functions) {
      state.functions = functions;
    },
    expectAnswer: () => expectAnswer(state, url),
    close: () => closeServer(server),
  };
}

/** Open connections are cut: a client that keeps one alive must not keep the runner alive. */
export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

function expectAnswer(state: State, url: string) {
  const id = randomUUID();
  const { promise: answer, resolve } = Promise.withResolvers<ResourceAnswer>();
  state.answers.set(id, resolve);
  return { responseUrl: `${url}/responses/${id}`, answer, forget: () => void state.answers.delete(id) };
}

async function handle(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await route(state, request, response);
  } catch (error) {
    send(response, 400, { message: error instanceof Error ? error.message : String(error) });
  }
  await finished(response).catch(() => {}); // the client went away: nothing is left to do
}

async function route(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1');
  if (isFromPage(request)) return send(response, 403, { message: 'Only programs of this machine may ask' });
  if (pathname === JWKS_PATH) return send(response, 200, state.jwks);
  const path = pathAfterSecret(state, pathname);
  const functionName = invokePath.exec(path)?.[1];
  if (functionName && request.method === 'POST') return await invoke(state, functionName, request, response);
  if (path.startsWith('/responses/') && request.method === 'PUT')
    return await takeAnswer(state, request, response);
  send(response, 404, { message: `There is nothing at ${request.method} ${pathname}` });
}

/** A browser names the page's origin, and the page's own host where that name was made to lead here. */
function isFromPage({ headers, socket }: IncomingMessage): boolean {
  return headers.origin !== undefined || headers.host !== `127.0.0.1:${socket.localPort}`;
}

/** Empty, which is the path of nothing, when the secret is not there. */
function pathAfterSecret({ secret }: State, pathname: string): string {
  const [, first = '', ...rest] = pathname.split('/');
  const given = Buffer.from(first);
  const isRight = given.length === secret.length && timingSafeEqual(given, secret);
  return isRight ? `/${rest.join('/')}` : '';
}

async function takeAnswer(
  { answers }: State,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = JSON.parse((await readBody(request, maxPayloadBytes)).toString('utf8')) as ResourceAnswer;
  answers.get(request.url?.split('/').at(-1) ?? '')?.(body);
  send(response, 200, {});
}

async function invoke(
  { functions }: State,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const functionName = plainName(decodeURIComponent(name));
  if (!functions?.has(functionName))
    return sendError(response, 404, 'ResourceNotFoundException', `Function not found: ${functionName}`);
  const type = request.headers['x-amz-invocation-type'] ?? 'RequestResponse';
  if (!isInvocationType(type))
    return sendError(response, 501, 'NotImplemented', `The local runner does not implement ${type}`);
  const payload = (await readBody(request, maxPayloadBytes)).toString('utf8') || '{}';
  JSON.parse(payload); // what is no JSON is refused before anything runs
  const invocation = functions.invoke(functionName, payload, type);
  if (type === 'Event') send(response, 202, undefined);
  else sendOutcome(response, await invocation);
}

function isInvocationType(type: string | string[]): type is InvocationType {
  return type === 'RequestResponse' || type === 'Event';
}

/** From a name, a partial or a whole ARN, with or without a version. */
function plainName(name: string): string {
  return name.includes(':function:') ? functionNameOf(name) : (name.split(':')[0] ?? name);
}

function sendOutcome(response: ServerResponse, outcome: Outcome | undefined): void {
  if (!outcome) sendError(response, 404, 'ResourceNotFoundException', 'Function not found');
  else if (outcome.kind === 'answered') sendText(response, 200, outcome.payload);
  else if (outcome.kind === 'throttled')
    sendError(response, 429, outcome.error.errorType, outcome.error.errorMessage);
  else sendFunctionError(response, outcome.error);
}

/** A function that failed is a success of the API: only the header tells. */
function sendFunctionError(response: ServerResponse, error: object): void {
  response.setHeader('x-amz-function-error', 'Unhandled');
  send(response, 200, error);
}

function sendError(response: ServerResponse, status: number, type: string, message: string): void {
  response.setHeader('x-amzn-errortype', type);
  send(response, status, { Type: 'User', Message: message, message });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  sendText(response, status, body === undefined ? '' : JSON.stringify(body));
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(text);
}
