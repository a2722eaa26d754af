/** `npm start` as a process with all that belongs to it: it stops everything when it is asked to, and when a part crashes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { isAlive } from '../../../../infra/local/processes/process-identity.ts';
import { readRun } from '../../../../infra/local/processes/run.ts';
import { findFreePort } from '../../../../infra/local/servers/ports.ts';
import { type Runner, startRunner } from '../../../support/runner.ts';

const SERVERS = ['PostgreSQL', 'Redis', 'Pushgateway'];
const LOOK_EVERY_MS = 5;

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(inject('servers').stateDir, 'start-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

async function startReady(args: readonly string[] = []) {
  const runner = startRunner(stateDir, [
    '--port',
    String(await findFreePort()),
    '--containers',
    '1',
    ...args,
  ]);
  await runner.waitFor('Ctrl-C stops everything.');
  return { runner, processes: readRun(stateDir)?.processes ?? [] };
}

/** Which processes were recorded, one look after the other, until the runner has gone. */
async function watchEnd(runner: Runner): Promise<string[][]> {
  const seen: string[][] = [];
  const exited = runner.exited.then(() => true);
  do seen.push(readRun(stateDir)?.processes.map(({ name }) => name) ?? []);
  while (!(await Promise.race([exited, delay(LOOK_EVERY_MS, false)])));
  return seen;
}

describe('npm start', () => {
  it('stops everything at a Ctrl-C, which under npm arrives twice, the servers last, and ends with 0', async () => {
    const { runner, processes } = await startReady(['--freeze']);
    const names = processes.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(SERVERS));
    expect(names.length).toBeGreaterThan(SERVERS.length);
    runner.kill('SIGINT');
    runner.kill('SIGINT');
    const seen = await watchEnd(runner);
    // What the containers still answer needs the servers.
    for (const left of seen.filter((each) => !SERVERS.every((name) => each.includes(name))))
      expect(SERVERS).toEqual(expect.arrayContaining(left));
    expect(await runner.exited).toEqual({ code: 0, signal: null });
    expect(runner.output().trim().split('\n').at(-1)).toBe('Stopping everything …');
    expect(processes.filter(({ identity }) => isAlive(identity))).toEqual([]);
    expect(readRun(stateDir)).toBeUndefined();
  });

  it('stops the rest when one part crashes, says which, and ends with 1', async () => {
    const { runner, processes } = await startReady();
    process.kill(processes.find(({ name }) => name === 'Redis')?.pid ?? 0, 'SIGKILL');
    expect(await runner.exited).toEqual({ code: 1, signal: null });
    expect(runner.output().trim().split('\n').at(-1)).toBe(
      `Redis stopped unexpectedly: it was ended by SIGKILL; its log: ${join(stateDir, 'redis.log')}`,
    );
    expect(processes.filter(({ identity }) => isAlive(identity))).toEqual([]);
  });
});
