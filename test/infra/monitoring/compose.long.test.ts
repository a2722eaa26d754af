/** The compose file, read by the real Compose: it takes the file, with and without the profiles, and hands on the keys. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runCommand } from '../../../infra/local/processes/command.ts';
import { findProgram } from '../../../infra/local/servers/postgres-user.ts';
import { composeFile, services } from './compose-file.ts';
import { isDebian12, pythonPath } from './debian-tools.ts';
import { claimTestRun, type TestRun } from './test-run.ts';

/** A bound against hanging: the machine may be busy. */
const TIMEOUT_MS = 60_000;

const python = findProgram('python3', process.env['PATH'] ?? '');
const canRunCompose = isDebian12 && python !== undefined;
const orWhyNot = canRunCompose ? '' : ' (skipped: needs Debian 12, to unpack it from, and python3)';

describe.skipIf(!canRunCompose)(`Compose${orWhyNot}`, () => {
  let run: TestRun;

  beforeAll(async () => {
    run = await claimTestRun('compose');
  });
  afterAll(() => run.end());

  function callCompose(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    return runCommand(python ?? '', ['-m', 'compose', '-f', composeFile, ...args], {
      timeoutMs: TIMEOUT_MS,
      env: { PATH: process.env['PATH'], PYTHONPATH: pythonPath(), ...env },
      watcher: run,
    });
  }

  it.each(['ministack', 'localstack'])('takes the profile %s', async (profile) => {
    const shown = parse(await callCompose(['--profile', profile, 'config']));

    expect(Object.keys(shown.services).sort()).toEqual(services.map(([name]) => name).sort());
  });

  it('hands on the keys of the environment, and needs none', async () => {
    const without = parse(await callCompose(['config'])).services;
    const keys = { LOCALSTACK_AUTH_TOKEN: 'token', SLACK_URL: 'https://hooks.slack.example.com/x' };
    const given = parse(await callCompose(['config'], keys)).services;

    expect(without.alertmanager.environment.SLACK_URL).toBe('none');
    expect(given.alertmanager.environment.SLACK_URL).toBe(keys.SLACK_URL);
    expect(given.localstack.environment.LOCALSTACK_AUTH_TOKEN).toBe('token');
  });
});
