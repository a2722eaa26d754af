/** `npm start` as a process that does not get far: it says in one line what is wrong, and leaves nothing when it is killed. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { claimRun, readRun } from '../../../../infra/local/processes/run.ts';
import { findFreePort } from '../../../../infra/local/servers/ports.ts';
import { startRunner } from '../../../support/runner.ts';

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(inject('servers').stateDir, 'start-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

async function waitForProcess(name: string): Promise<{ pid: number }> {
  const find = () => readRun(stateDir)?.processes.find((each) => each.name === name);
  await expect.poll(find, { interval: 10 }).toBeDefined();
  return find() ?? expect.fail(`${name} has ended already`);
}

/** The process and what it started. */
function isGroupAlive(leader: number): boolean {
  try {
    return process.kill(-leader, 0);
  } catch {
    return false;
  }
}

/** The working folders of all processes that are in this one or below it; of Linux only. */
function workingFoldersIn(folder: string): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const cwd = readlinkSync(`/proc/${Number(pid)}/cwd`);
      return cwd.startsWith(folder) ? [cwd] : [];
    } catch {
      return []; // no process, or one that has ended
    }
  });
}

describe('npm start', () => {
  it('tells all options with --help', async () => {
    const runner = startRunner(stateDir, ['--help']);
    expect(await runner.exited).toMatchObject({ code: 0 });
    for (const option of ['--port', '--containers', '--fresh', '--freeze', '--logs', 'REDIS_URL'])
      expect(runner.output()).toContain(option);
  });

  it('says in one line that a port is taken, and ends with 1', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    const port = await new Promise<number>((resolve) =>
      holder.once('listening', () => resolve((holder.address() as { port: number }).port)),
    );
    const runner = startRunner(stateDir, ['--port', String(port)]);
    expect(await runner.exited).toMatchObject({ code: 1 });
    expect(runner.output()).toBe(
      `Port ${port} is taken by another program. Choose another one: npm start -- --port ${port + 1}\n`,
    );
    holder.close();
  });

  it('says in one line what is wrong with an option, and ends with 1', async () => {
    const runner = startRunner(stateDir, ['--containers', 'many']);
    expect(await runner.exited).toMatchObject({ code: 1 });
    expect(runner.output()).toBe('--containers must be a whole number from 1 to 16, but is "many".\n');
  });

  it('says in one line that a server of the environment cannot be reached, and ends with 1', async () => {
    const redisPort = await findFreePort();
    const runner = startRunner(stateDir, ['--port', String(await findFreePort())], {
      REDIS_URL: `redis://:secret@127.0.0.1:${redisPort}`,
    });
    expect(await runner.exited).toMatchObject({ code: 1 });
    expect(runner.output().trim().split('\n').at(-1)).toMatch(
      /^REDIS_URL names redis:\/\/:\*\*\*@127\.0\.0\.1:\d+, which refused the connection\. Start it, or unset/,
    );
    expect(runner.output()).not.toContain('secret');
  });

  it('refuses a folder with files that it did not make, and removes none of them', async () => {
    writeFileSync(join(stateDir, 'dump.rdb'), 'a database');
    const runner = startRunner(stateDir, ['--fresh']);
    expect(await runner.exited).toMatchObject({ code: 1 });
    expect(runner.output()).toBe(
      `The folder ${stateDir} is not empty and not marked as Prewarm's. Name a new or an empty folder in PREWARM_STATE_DIR.\n`,
    );
    expect(readdirSync(stateDir)).toEqual(['dump.rdb']);
  });

  it('leaves the folder to a Prewarm that runs there, and says where that is', async () => {
    const run = await claimRun({ stateDir, url: 'http://127.0.0.1:9' });
    const runner = startRunner(stateDir, ['--fresh']);
    expect(await runner.exited).toMatchObject({ code: 1 });
    expect(runner.output()).toBe(
      `Prewarm is already running (pid ${process.pid}, http://127.0.0.1:9). Stop it first, with Ctrl-C in its terminal or with: kill ${process.pid}\n`,
    );
    expect(readRun(stateDir)).toMatchObject({ pid: process.pid });
    run.release();
  });

  it('that is stopped while it synthesises leaves no process and no draft, and ends with 0', async () => {
    const runner = startRunner(stateDir, ['--port', String(await findFreePort())]);
    const synthesis = await waitForProcess(process.execPath);
    runner.kill('SIGINT');
    expect(await runner.exited).toEqual({ code: 0, signal: null });
    await expect.poll(() => isGroupAlive(synthesis.pid)).toBe(false);
    expect(readdirSync(stateDir).filter((name) => name.includes('.draft-'))).toEqual([]);
    expect(readRun(stateDir)).toBeUndefined();
  });

  it('that is killed while it synthesises leaves no process, and no draft after the next start', async () => {
    const runner = startRunner(stateDir, ['--port', String(await findFreePort())]);
    const synthesis = await waitForProcess(process.execPath);
    runner.kill('SIGKILL');
    await runner.exited;
    await expect.poll(() => isGroupAlive(synthesis.pid)).toBe(false);
    await expect.poll(() => workingFoldersIn(stateDir)).toEqual([]); // also of those that it had just begun to start
    (await claimRun({ stateDir })).release();
    expect(readdirSync(stateDir).filter((name) => name.includes('.draft-'))).toEqual([]);
  });
});
