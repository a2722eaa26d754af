/** The running API under generated requests: no 500, nothing of the inside, nobody let in, and a memory that stays as it is. */
import { readFileSync } from 'node:fs';
import { request as send } from 'node:http';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readRun } from '../../infra/local/processes/run.ts';
import { type RunningStage, startLocalStage } from '../support/local-stage.ts';
import { type FuzzRequest, requests, scopesOf } from './requests.ts';

const REQUESTS = Number(process.env['FUZZ_REQUESTS'] ?? 5_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const AT_ONCE = 32;
/** By then every container has loaded what it loads once. */
const SETTLED_SHARE = 0.3;
const GROWTH_MAX_MIB = 48;
const INSIDE = /node_modules|\.ts:\d|at \w+ \(|postgres:\/\/|redis:\/\/|SELECT |ECONN|\bpg_/;
/** What each path takes at the edge, where it takes a token at all. */
const SCOPES: readonly (readonly [RegExp, string])[] = [
  [/^\/admin\//, 'cache:admin'],
  [/^\/users/, 'users:read'],
];

let stage: RunningStage;

beforeAll(async () => {
  stage = await startLocalStage('fuzz-');
});
afterAll(() => stage?.stop());

type Answer = {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
};

/** As it is generated: `fetch` would tidy the path up. */
function call(request: FuzzRequest, authorization: string | undefined): Promise<Answer> {
  const { hostname, port } = new URL(stage.url);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = send(
    {
      hostname,
      port,
      method: request.method,
      path: request.path,
      headers: {
        ...request.headers,
        ...(authorization !== undefined && { authorization }),
        // Without it the body of a GET would be read as the next request.
        ...(request.body !== undefined && { 'content-length': Buffer.byteLength(request.body) }),
      },
    },
    async (response) => {
      const body = Buffer.concat(await response.toArray()).toString('latin1');
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    },
  );
  sent.on('error', reject).end(request.body);
  return promise;
}

const tokens = new Map<string, Promise<string>>();

async function authorizationOf({ token }: FuzzRequest): Promise<string | undefined> {
  if (token.kind === 'none') return undefined;
  if (token.kind === 'text') return token.text;
  const claims = token.kind === 'signed' ? token.claims : { scope: 'users:read cache:admin' };
  const name = JSON.stringify(claims);
  // A thousand are remembered, as many as the gateway remembers.
  if (tokens.size > 1_000) tokens.clear();
  const signed = tokens.get(name) ?? stage.tokenOf(claims);
  tokens.set(name, signed);
  return `Bearer ${token.kind === 'changed' ? token.change(await signed) : await signed}`;
}

/** What is wrong with the answer; undefined when nothing is. */
function faultOf(request: FuzzRequest, { status, headers, body }: Answer): string | undefined {
  if (status >= 500) return 'a server error';
  if (headers['content-encoding'] === undefined && INSIDE.test(body)) return 'something of the inside';
  if (status < 300) return isLetIn(request) ? undefined : 'an answer for who may not have it';
  if (request.method !== 'HEAD' && !headers['content-type']?.includes('application/problem+json'))
    return 'no problem';
  return undefined;
}

function isLetIn(request: FuzzRequest): boolean {
  const [pathname = ''] = request.path.split('?');
  const needed = SCOPES.find(([form]) => form.test(pathname))?.[1];
  return needed === undefined ? pathname === '/health' : scopesOf(request).includes(needed);
}

/** Resident memory of each function's containers, in MiB. */
function memoryByFunction(): Record<string, number> {
  const memory: Record<string, number> = {};
  for (const { name, pid } of readRun(stage.stateDir)?.processes ?? []) {
    const kib = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    memory[name] = Math.max(memory[name] ?? 0, kib / 1_024);
  }
  return memory;
}

it(`${REQUESTS} generated requests find nothing`, { timeout: 60 * 60_000 }, async () => {
  const generated = fc.sample(requests, { numRuns: REQUESTS, seed: SEED })[Symbol.iterator]();
  const faults: object[] = [];
  const statuses: Record<string, number> = {};
  let sent = 0;
  let settled: Record<string, number> | undefined;
  const sendNext = async () => {
    for (const request of generated) {
      if (++sent >= REQUESTS * SETTLED_SHARE) settled ??= memoryByFunction();
      const authorization = await authorizationOf(request);
      const answer = await call(request, authorization);
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      const fault = faultOf(request, answer);
      if (fault !== undefined) faults.push({ fault, request, authorization, answer });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sendNext));
  expect(faults.slice(0, 5)).toEqual([]);
  // Each kind of answer was among them: else nothing was tried.
  for (const status of ['200', '400', '401', '403', '404', '429']) expect(statuses).toHaveProperty(status);
  for (const [name, mib] of Object.entries(memoryByFunction())) {
    if (name.includes('Warmer')) continue; // one that ran has more than one that waits
    expect(mib - (settled?.[name] ?? mib), `${name} in MiB`).toBeLessThan(GROWTH_MAX_MIB);
  }
  process.stdout.write(`${REQUESTS} requests, seed ${SEED}: ${JSON.stringify(statuses)}\n`);
});

it('and the functions wrote no error and no personal data', () => {
  const log = readFileSync(join(stage.stateDir, 'functions.log'), 'utf8');
  const errors = log.split('\n').filter((line) => line.includes('"level":"error"'));
  // This is how an authorizer refuses; the platform calls it a failure.
  const own = errors.filter((line) => !line.includes('"message":"Unauthorized"'));
  expect(own.slice(0, 3)).toEqual([]);
  expect(log).not.toMatch(/@example|"sub"|Bearer/);
});
