/** What readers by id feel of callers who search by two letters, again and again: through the whole API, as `npm start` serves it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadOrCreateIdentity, signToken } from '../../../infra/local/identity.ts';
import { findFreePort } from '../../../infra/local/servers/ports.ts';
import { startRunner } from '../../support/runner.ts';
import { type CaseResult, milliseconds, report } from '../report/table.ts';
import { median, pairedRatio, quantile } from '../statistics.ts';

const SEARCHERS = 8;
const READS = 500;
/** Below the client's allowance of 100 a second. */
const APART_MS = 12;
const ROUNDS = 7;
const USERS = 20_000;
/** Whoever is refused tries again as soon as this. */
const RETRY_MS = 50;
const P99_RATIO_MAX = 1.5;

type Round = {
  readonly alone: readonly number[];
  readonly beside: readonly number[];
  readonly searches: number;
};
type Get = (path: string) => Promise<{ readonly status: number; readonly tookMs: number }>;

export async function runSearches(): Promise<CaseResult> {
  const stateDir = mkdtempSync(join(tmpdir(), 'prewarm-bench-'));
  const port = await findFreePort();
  report('Starting the API …');
  const runner = startRunner(stateDir, ['--port', String(port)]);
  try {
    await runner.waitFor('Ctrl-C stops everything.');
    const identity = await loadOrCreateIdentity(stateDir);
    const tokenOf = (client: string) => signToken(identity, { sub: client, scope: 'users:read', client });
    return describe(await measure(getter(port, await tokenOf('console')), getter(port, await tokenOf('ci'))));
  } finally {
    runner.kill('SIGTERM');
    await runner.exited;
    rmSync(stateDir, { recursive: true, force: true });
  }
}

function getter(port: number, token: string): Get {
  const agent = new Agent({ keepAlive: true });
  return (path) => {
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<Get>>>();
    const beganAtMs = performance.now();
    const headers = { authorization: `Bearer ${token}` };
    request({ agent, port, path, headers }, (answer) => {
      const status = answer.statusCode ?? 0;
      answer.resume().on('end', () => resolve({ status, tookMs: performance.now() - beganAtMs }));
    })
      .on('error', reject)
      .end();
    return promise;
  };
}

async function measure(read: Get, search: Get): Promise<Round[]> {
  await readAll(read); // compiles
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const alone = await readAll(read);
    const stop = new AbortController();
    const searching = Promise.all(Array.from({ length: SEARCHERS }, () => searchUntil(stop.signal, search)));
    const beside = await readAll(read);
    stop.abort();
    rounds.push({ alone, beside, searches: (await searching).reduce((sum, count) => sum + count, 0) });
  }
  return rounds;
}

async function readAll(read: Get): Promise<number[]> {
  const tookMs: number[] = [];
  for (let count = 0; count < READS; count++) {
    const apart = sleep(APART_MS);
    tookMs.push((await read(`/users/${1 + Math.floor(Math.random() * USERS)}`)).tookMs);
    await apart;
  }
  return tookMs;
}

/** Answers how many were answered. */
async function searchUntil(signal: AbortSignal, search: Get): Promise<number> {
  const letter = () => String.fromCharCode(97 + Math.floor(Math.random() * 26));
  let answered = 0;
  while (!signal.aborted) {
    const cursor = `${Math.floor(Math.random() * 1_000_000)}-1`;
    const { status } = await search(`/users/search?q=${letter()}${letter()}&limit=50&cursor=${cursor}`);
    if (status === 200) answered++;
    else await sleep(RETRY_MS);
  }
  return answered;
}

function describe(rounds: readonly Round[]): CaseResult {
  const quantiles = (part: 'alone' | 'beside', share: number) =>
    rounds.map((round) => quantile(round[part], share));
  const cells = (part: 'alone' | 'beside') =>
    [0.5, 0.9, 0.99].map((share) => milliseconds(median(quantiles(part, share))));
  const searches = median(rounds.map((round) => round.searches));
  return {
    title: 'Reads by id beside searches',
    how: `The API as npm start serves it, with two containers of each function. ${ROUNDS} rounds of ${READS} reads by id, one every ${APART_MS} ms, alone and beside ${SEARCHERS} callers of another client who search by two letters with cursors of their own making, as often as they are let: 10 a second together; whoever is refused tries again after ${RETRY_MS} ms.`,
    columns: ['p50 ms', 'p90 ms', 'p99 ms', 'searches'],
    rows: [
      ['alone', ...cells('alone'), ''],
      ['beside searches', ...cells('beside'), `${searches} in each round`],
    ],
    verdicts: [
      {
        what: 'p99 beside searches / alone',
        value: pairedRatio(quantiles('beside', 0.99), quantiles('alone', 0.99)),
        unit: '×',
        atMost: P99_RATIO_MAX,
      },
    ],
    raw: { p99Ms: { alone: quantiles('alone', 0.99), beside: quantiles('beside', 0.99) } },
  };
}
