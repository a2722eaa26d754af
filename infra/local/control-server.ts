/** The loopback server beside the API: the issuer's public keys, Lambda's Invoke API, and where custom resources answer. */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { functionNameOf } from '../assembly/resources.ts';
import type { Functions } from './containers/containers.ts';
import { closeServer, type HttpAnswer, listen, originOf, readBody } from './http.ts';
import { describeError } from './start-error.ts';

/** What a custom resource's function puts to its ResponseURL. */
type ResourceAnswer = { readonly Status: 'SUCCESS' | 'FAILED'; readonly Reason?: string };

export type ControlServer = Awaited<ReturnType<typeof startControlServer>>;

type Invokable = Pick<Functions, 'has' | 'invoke'>;
type State = {
  readonly jwks: object;
  readonly secret: string;
  /** By the id in the ResponseURL, of those that are expected. */
  readonly answers: Map<string, ResourceAnswer | undefined>;
  functions?: Invokable;
};

const JWKS_PATH = '/.well-known/jwks.json';
const SECRET_BYTES = 24;
const INVOKE_PATH = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;
const RESPONSE_PATH = /^\/responses\/([^/]+)$/;
/** What Lambda takes in a synchronous invocation. */
const maxPayloadBytes = 6 * 1024 * 1024;

/** Listens on a free port of the loopback interface, which every user and every web page of this machine can reach. */
export async function startControlServer({ jwks }: { jwks: object }) {
  const state: State = { jwks, secret: randomBytes(SECRET_BYTES).toString('base64url'), answers: new Map() };
  const { answers } = state;
  const server = await listen(0, (request) =>
    route(state, request).catch((error) => json(400, { message: describeError(error) })),
  );
  const url = `${originOf(server)}/${state.secret}`;
  return {
    /** With a secret in its path: who knows it may invoke every function, as any caller. */
    url,
    /** Without it: the keys are public, and this address is kept in the template. */
    jwksUri: originOf(server) + JWKS_PATH,
    /** Whom the Invoke API invokes; nobody before. */
    serve(functions: Invokable): void {
      state.functions = functions;
    },
    /** A new ResponseURL, and what was put there. Forget it when nobody waits any more. */
    expectAnswer() {
      const id = randomUUID();
      answers.set(id, undefined);
      const forget = () => void answers.delete(id);
      return { responseUrl: `${url}/responses/${id}`, answer: () => answers.get(id), forget };
    },
    close: () => closeServer(server),
  };
}

async function route(state: State, request: IncomingMessage): Promise<HttpAnswer> {
  const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1');
  const { method } = request;
  if (isFromPage(request)) return json(403, { message: 'Only programs of this machine may ask' });
  if (pathname === JWKS_PATH) return json(200, state.jwks);
  const path = pathAfterSecret(state, pathname);
  const functionName = INVOKE_PATH.exec(path)?.[1];
  if (functionName && method === 'POST') return await invoke(state, functionName, request);
  const resource = RESPONSE_PATH.exec(path)?.[1];
  if (resource && method === 'PUT') {
    const answer = JSON.parse(await readText(request)) as ResourceAnswer;
    if (state.answers.has(resource)) state.answers.set(resource, answer);
    return json(200, {});
  }
  return json(404, { message: `There is nothing at ${method} ${pathname}` });
}

/** A browser names the page's origin, and the page's own host where that name was made to lead here. */
function isFromPage({ headers, socket }: IncomingMessage): boolean {
  return headers.origin !== undefined || headers.host !== `127.0.0.1:${socket.localPort}`;
}

/** Empty, which is the path of nothing, when the secret is not there. */
function pathAfterSecret({ secret }: State, pathname: string): string {
  const [, first = '', ...rest] = pathname.split('/');
  const [given, right] = [Buffer.from(first), Buffer.from(secret)];
  return given.length === right.length && timingSafeEqual(given, right) ? `/${rest.join('/')}` : '';
}

async function invoke({ functions }: State, name: string, request: IncomingMessage): Promise<HttpAnswer> {
  const functionName = plainName(decodeURIComponent(name));
  const unknown = failure(404, 'ResourceNotFoundException', `Function not found: ${functionName}`);
  if (!functions?.has(functionName)) return unknown;
  const type = request.headers['x-amz-invocation-type'] ?? 'RequestResponse';
  if (type !== 'RequestResponse' && type !== 'Event')
    return failure(501, 'NotImplemented', `The local runner does not implement ${type}`);
  const payload = (await readText(request)) || '{}';
  JSON.parse(payload); // what is no JSON is refused before anything runs
  const invocation = functions.invoke(functionName, payload, type);
  if (type === 'Event') return json(202);
  const outcome = await invocation;
  if (!outcome) return unknown;
  if (outcome.kind === 'answered') return { ...json(200), body: outcome.payload };
  const { errorType, errorMessage } = outcome.error;
  if (outcome.kind === 'throttled') return failure(429, errorType, errorMessage);
  // A function that failed is a success of the API: only the header tells.
  return json(200, outcome.error, { 'x-amz-function-error': 'Unhandled' });
}

/** From a name, a partial or a whole ARN, with or without a version. */
function plainName(name: string): string {
  return name.includes(':function:') ? functionNameOf(name) : (name.split(':')[0] ?? name);
}

async function readText(request: IncomingMessage): Promise<string> {
  return (await readBody(request, maxPayloadBytes)).toString('utf8');
}

function failure(status: number, type: string, message: string): HttpAnswer {
  return json(status, { Type: 'User', Message: message, message }, { 'x-amzn-errortype': type });
}

function json(status: number, body?: object, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body) ?? '',
  };
}
