/** The embedded servers: they start, say when they crash, stop without a trace, and a next start ends what a dead one has left. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  identify,
  isAlive,
  type ProcessIdentity,
} from '../../../../infra/local/processes/process-identity.ts';
import { claimRun } from '../../../../infra/local/processes/run.ts';
import { readRun, readTurn, takeTurn } from '../../../../infra/local/processes/run-record.ts';
import { planServers, startServers } from '../../../../infra/local/servers/index.ts';
import { findFreePort } from '../../../../infra/local/servers/ports.ts';
import { probeRedis } from '../../../../infra/local/servers/probe.ts';
import { prepareStateFolder } from '../../../../infra/local/state-folder.ts';
import { identifyAll, withServers } from '../../../support/own-servers.ts';

const silent = () => {};

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(inject('servers').stateDir, 'local-servers-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

function startSleep(): ProcessIdentity {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return identify(child.pid ?? 0) ?? { pid: 0, startTime: 'not started' };
}

describe('startServers', () => {
  it('leaves no process and no record behind when it stops', async () => {
    let identities: ProcessIdentity[] = [];
    await withServers(stateDir, async ({ processes }) => {
      identities = identifyAll(processes.map(({ pid }) => pid));
      expect(readRun(stateDir)?.processes).toHaveLength(3);
    });
    expect(identities).toHaveLength(3);
    expect(identities.filter(isAlive)).toEqual([]);
    expect(readRun(stateDir)).toBeUndefined();
  });

  it('starts a Redis that only the functions’ user may use, by a password that no command line tells', async () => {
    await withServers(stateDir, async ({ redisUrl, processes }) => {
      const { username, password, host } = new URL(redisUrl);
      const { pid } = processes.find(({ name }) => name === 'Redis') ?? { pid: 0 };
      expect(username).toBe('prewarm');
      expect(password).toHaveLength(32);
      expect(
        execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }),
      ).not.toContain(password);
      await probeRedis(redisUrl, 5_000);
      await expect(probeRedis(`redis://${host}`, 5_000)).rejects.toThrow('NOAUTH');
    });
  });

  it('says which part crashed and where its log is, and nothing of a stop that was asked for', async () => {
    const crashes: string[] = [];
    await withServers(stateDir, async (servers) => {
      const crashed = new Promise<void>((resolve) =>
        servers.onCrash((part, detail) => resolve(void crashes.push(`${part}: ${detail}`))),
      );
      process.kill(servers.processes.find(({ name }) => name === 'Redis')?.pid ?? 0, 'SIGKILL');
      await crashed;
    });
    expect(crashes).toEqual([`Redis: it was ended by SIGKILL; its log: ${join(stateDir, 'redis.log')}`]);
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

describe('a runner that disappears', () => {
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
});

describe('a runner', () => {
  it('that still lives keeps its folder: a second start says where it is', async () => {
    const runner = startSleep();
    prepareStateFolder(stateDir);
    takeTurn(stateDir, readTurn(stateDir), { runner, url: 'http://127.0.0.1:9', processes: [] });
    await expect(claimRun({ stateDir })).rejects.toThrow(
      `Prewarm is already running (pid ${runner.pid}, http://127.0.0.1:9).`,
    );
    expect(isAlive(runner)).toBe(true);
  });
});
