/** The embedded servers: they start, say when they crash, stop without a trace, and a next start ends what a dead one has left. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  identify,
  isAlive,
  type ProcessIdentity,
} from '../../../../infra/local/processes/process-identity.ts';
import { claimRun, readRun } from '../../../../infra/local/processes/run.ts';
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
  return identify(child.pid ?? 0) ?? expect.fail('it has not started');
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
    const processes = [left, `${innocent}0`].map((identity) => ({ identity, stopSignal: 'SIGTERM' }));
    prepareStateFolder(stateDir);
    writeFileSync(join(stateDir, 'run.json'), JSON.stringify({ pid: 4_194_305, processes }));
    (await claimRun({ stateDir })).release();
    expect([isAlive(left), isAlive(innocent)]).toEqual([false, true]);
  });
});

describe('of runners that start at once', () => {
  it('one gets the folder, and the next one only when it is given back', async () => {
    const starts = await Promise.allSettled([1, 2, 3].map(() => claimRun({ stateDir })));
    const [run, ...others] = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    const refusals = starts.flatMap((start) => (start.status === 'rejected' ? [String(start.reason)] : []));
    expect(others).toEqual([]);
    expect(refusals).toHaveLength(2);
    for (const refusal of refusals)
      expect(refusal).toMatch(/Another Prewarm is just starting in the same folder|already running/);
    await expect(claimRun({ stateDir })).rejects.toThrow(`already running (pid ${process.pid})`);
    expect(readRun(stateDir)).toMatchObject({ pid: process.pid, processes: [] });
    run?.release();
    const next = await claimRun({ stateDir });
    run?.release(); // the next one's folder is none of its business any more
    expect(readRun(stateDir)).toBeDefined();
    await expect(claimRun({ stateDir })).rejects.toThrow('already running');
    next.release();
    expect(readRun(stateDir)).toBeUndefined();
  });
});
