/** The Python programs that checks need: fetched once and whole, and what is missing for that is told in one line. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, inject, it } from 'vitest';
import { findFreePort } from '../../infra/local/servers/ports.ts';
import { preparePythonTool } from '../../infra/tools/python-tools.ts';

let dir: string;
let steps: string[];

beforeEach(() => {
  dir = mkdtempSync(join(inject('servers').stateDir, 'python-'));
  steps = [];
});

const report = (step: string) => void steps.push(step);

/** A `python3` that does what the script says, alone on PATH. */
function pathWithPython(script: string): string {
  const path = join(dir, 'bin');
  mkdirSync(path);
  writeFileSync(join(path, 'python3'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

it('a tool is there after the first call, and the next one finds it', async () => {
  const first = await preparePythonTool('cfn-lint', { report });
  steps = [];

  expect(await preparePythonTool('cfn-lint', { report })).toBe(first);
  expect(steps).toEqual([]);
  const program = 'from importlib.metadata import version; print(version("cfn-lint"))';
  expect(execFileSync(first, ['-c', program], { encoding: 'utf8' }).trim()).toBe('1.58.0');
});

it('without a python3 the error names what to install', async () => {
  await expect(preparePythonTool('cfn-lint', { report, env: { PATH: dir } })).rejects.toThrow(
    /^There is no python3 on PATH\. .*python3-venv/,
  );
});

it.each([
  ['cannot make virtual environments', 'exit 1', /cannot make virtual environments\. .*python3-venv/],
  ['is too old', 'echo 3.9', /is Python 3\.9\. Install Python 3\.11/],
])('with a python3 that %s the error names what to install', async (_, script, message) => {
  const env = { PATH: pathWithPython(script) };
  await expect(preparePythonTool('cfn-lint', { report, env })).rejects.toThrow(message);
});

it('without a network the error says so, and nothing is left', async () => {
  const nobody = await findFreePort();
  const env = { PATH: process.env['PATH'], PIP_INDEX_URL: `http://127.0.0.1:${nobody}/` };
  const toolsDir = join(dir, 'tools');

  await expect(
    preparePythonTool('cfn-lint', { report, toolsDir, env: { ...env, PIP_CONFIG_FILE: '/dev/null' } }),
  ).rejects.toThrow('the Python package index cannot be reached');

  expect(steps).toEqual([expect.stringContaining('downloading')]);
  expect(readdirSync(toolsDir, { recursive: true })).toHaveLength(1); // the folder of the Python's version
});
