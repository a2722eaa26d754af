/** The embedded servers: they start, say when they crash, stop without a trace, and outlive neither a stop nor a killed runner. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  identify,
  isAlive,
  type ProcessIdentity,
} from '../../../../infra/local/processes/process-identity.ts';
import { claimRun } from '../../../../infra/local/processes/run.ts';
import { readRun, readTurn, takeTurn } from '../../../../infra/local/processes/run-record.ts';
import { planServers, type Servers, startServers } from '../../../../infra/local/servers/index.ts';
import { findFreePort } from '../../../../infra/local/servers/ports.ts';
import { prepareStateFolder } from '../../../../infra/local/state-folder.ts';
import { startScript } from '../../../support/runner.ts';

const SERVERS_ONLY = fileURLToPath(new URL('../../../support/servers-only.ts', import.meta.url));
const REAP_TIMEOUT_MS = 5_000;
const silent = () => {};

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(inject('servers').stateDir, 'local-servers-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

async function withServers(
  work: (servers: Servers) => Promise<unknown>,
  report: (step: string) => void = silent,
): Promise<void> {
  const run = await claimRun({ stateDir });
  const servers = await startServers({ run, plan: await planServers(stateDir, {}), report });
  try {
    await work(servers);
  } finally {
    await servers.stop();
    run.release();
  }
}

async function queryOnce(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return (await client.query(sql).finally(() => client.end())).rows;
}

/** Processes that are not our children end without an event. */
async function untilGone(processes: readonly ProcessIdentity[]): Promise<void> {
  const deadline = Date.now() + REAP_TIMEOUT_MS;
  while (processes.some(isAlive) && Date.now() < deadline) await delay(20);
  expect(processes.filter(isAlive)).toEqual([]);
}

function identifyAll(pids: readonly number[]): ProcessIdentity[] {
  return pids.map((pid) => identify(pid)).filter((identity) => identity !== undefined);
}

function startSleep(): ProcessIdentity {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return identify(child.pid ?? 0) ?? { pid: 0, startTime: 'not started' };
}

describe('startServers', () => {
  it('keeps the data and the addresses from one start to the next, and makes them once', async () => {
    let first = '';
    await withServers(async ({ databaseUrl }) => {
      first = databaseUrl;
      await queryOnce(databaseUrl, 'CREATE TABLE kept AS SELECT 1 AS value');
    });
    const steps: string[] = [];
    await withServers(
      async ({ databaseUrl }) => {
        expect(databaseUrl).toBe(first);
        expect(await queryOnce(databaseUrl, 'SELECT value FROM kept')).toEqual([{ value: 1 }]);
      },
      (step) => void steps.push(step),
    );
    expect(steps).toEqual([]);
  });

  it('gives a PostgreSQL 18 in UTF-8 with trigrams, closed to whoever lacks the password', async () => {
    await withServers(async ({ databaseUrl }) => {
      await queryOnce(databaseUrl, 'CREATE EXTENSION pg_trgm');
      const [row] = await queryOnce(
        databaseUrl,
        `SELECT current_setting('server_encoding') AS encoding, lower('ÅÉ') AS lower, current_setting('server_version') AS version`,
      );
      expect(row).toEqual({ encoding: 'UTF8', lower: 'åé', version: expect.stringMatching(/^18\./) });
      const open = new URL(databaseUrl);
      open.password = 'wrong';
      await expect(queryOnce(open.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
    });
  });

  it('leaves no process and no record behind when it stops', async () => {
    let identities: ProcessIdentity[] = [];
    await withServers(async ({ processes }) => {
      identities = identifyAll(processes.map(({ pid }) => pid));
      expect(readRun(stateDir)?.processes).toHaveLength(3);
    });
    expect(identities).toHaveLength(3);
    expect(identities.filter(isAlive)).toEqual([]);
    expect(readRun(stateDir)).toBeUndefined();
  });

  it('says which part crashed and where its log is, and nothing of a stop that was asked for', async () => {
    const crashes: string[] = [];
    await withServers(async (servers) => {
      const crashed = new Promise<void>((resolve) =>
        servers.onCrash((part, detail) => resolve(void crashes.push(`${part}: ${detail}`))),
      );
      process.kill(servers.processes.find(({ name }) => name === 'Redis')?.pid ?? 0, 'SIGKILL');
      await crashed;
    });
    expect(crashes).toEqual([`Redis: it was ended by SIGKILL; its log: ${join(stateDir, 'redis.log')}`]);
  });

  it('begins again when initdb was cut short', async () => {
    prepareStateFolder(stateDir);
    mkdirSync(join(stateDir, 'postgres.draft-1_0-01234567'));
    await withServers(async ({ databaseUrl }) =>
      expect(await queryOnce(databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]),
    );
    expect(readdirSync(stateDir).filter((name) => name.includes('.draft-'))).toEqual([]);
  });

  it('says in one line which server of the environment cannot be reached, without its password', async () => {
    const port = await findFreePort();
    const use = { databaseUrl: `postgres://someone:secret@127.0.0.1:${port}/db` };
    const run = await claimRun({ stateDir });
    const starting = startServers({ run, plan: await planServers(stateDir, use), report: silent });
    await expect(starting).rejects.toThrow(
      `DATABASE_URL names postgres://someone:***@127.0.0.1:${port}/db, which refused the connection. ` +
        'Start it, or unset DATABASE_URL to use the embedded PostgreSQL.',
    );
    expect(readRun(stateDir)?.processes).toEqual([]);
    run.release();
  });

  it('uses the servers of the environment and starts none of its own', async () => {
    const { redisUrl, adminDatabaseUrl: databaseUrl, pushgatewayUrl } = inject('servers');
    const run = await claimRun({ stateDir });
    const plan = await planServers(stateDir, { redisUrl, databaseUrl, pushgatewayUrl });
    const servers = await startServers({ run, plan, report: silent });
    expect(servers).toMatchObject({ redisUrl, databaseUrl, pushgatewayUrl, processes: [] });
    run.release();
  });
});

describe('damaged data of PostgreSQL', () => {
  const FRESH = 'npm start -- --fresh makes new data.';

  /** Alone, because its reason is what is asked for: the others use the servers of the tests. */
  async function startAgain(): Promise<void> {
    const { redisUrl, pushgatewayUrl } = inject('servers');
    const run = await claimRun({ stateDir });
    try {
      const plan = await planServers(stateDir, { redisUrl, pushgatewayUrl });
      await (await startServers({ run, plan, report: silent })).stop();
    } finally {
      run.release();
    }
  }

  async function damage(work: () => void): Promise<void> {
    await withServers(async () => {});
    work();
  }

  it('without its password is told at once, and no other password is made', async () => {
    const file = join(stateDir, 'postgres.password');
    await damage(() => rmSync(file));
    await expect(startAgain()).rejects.toThrow(`postgres.password, is missing. ${FRESH}`);
    expect(existsSync(file)).toBe(false);
  });

  it('with another password is told without waiting for the limit', async () => {
    await damage(() => writeFileSync(join(stateDir, 'postgres.password'), 'another'));
    await expect(startAgain()).rejects.toThrow(
      new RegExp(`^PostgreSQL lets nobody in: .*password authentication failed.*${FRESH}$`),
    );
  });

  it('with a part missing is told with the way out', async () => {
    await damage(() => rmSync(join(stateDir, 'postgres', 'global'), { recursive: true }));
    await expect(startAgain()).rejects.toThrow(new RegExp(`^PostgreSQL ended while starting: .*${FRESH}$`));
  });
});

describe('a runner that disappears', () => {
  it('is followed by its servers, even when it was killed', async () => {
    const runner = startScript(SERVERS_ONLY, [stateDir]);
    await runner.waitFor('"pids"');
    const servers = identifyAll((JSON.parse(runner.output()) as { pids: number[] }).pids);
    expect(servers).toHaveLength(3);
    runner.kill('SIGKILL');
    await runner.exited;
    await untilGone(servers);
  });

  it('has what it left ended by the next start, but never a process that only has the same pid', async () => {
    const left = startSleep();
    const innocent = startSleep();
    const processes = [left, { ...innocent, startTime: 'another' }].map((identity) => ({
      ...identity,
      name: 'sleep',
      stopSignal: 'SIGTERM' as const,
    }));
    prepareStateFolder(stateDir);
    takeTurn(stateDir, readTurn(stateDir), { runner: { ...innocent, startTime: 'long ago' }, processes });
    (await claimRun({ stateDir })).release();
    expect([isAlive(left), isAlive(innocent)]).toEqual([false, true]);
  });

  it('that still lives keeps its folder: a second start says where it is', async () => {
    const runner = startScript(SERVERS_ONLY, [stateDir]);
    await runner.waitFor('"pids"');
    const servers = identifyAll((JSON.parse(runner.output()) as { pids: number[] }).pids);
    await expect(claimRun({ stateDir })).rejects.toThrow(
      `Prewarm is already running (pid ${runner.pid}, http://127.0.0.1:9).`,
    );
    runner.kill('SIGKILL');
    await runner.exited;
    await untilGone(servers); // their folder is removed next
  });
});
