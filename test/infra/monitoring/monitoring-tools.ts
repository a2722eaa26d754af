/** Prometheus, Alertmanager and the shell of their images, for the tests that run the real ones. */
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../../infra/local/processes/command.ts';
import type { Run } from '../../../infra/local/processes/run.ts';
import { libraryFolders } from '../../../infra/local/servers/debian-packages.ts';
import { findProgram } from '../../../infra/local/servers/postgres-user.ts';
import { isDebian12, toolsHome } from './debian-tools.ts';

export type Tools = {
  /** Finds the programs by the names that the images give them, and busybox' tools before the machine's. */
  readonly env: NodeJS.ProcessEnv;
  run(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string>;
};

export const projectDir = fileURLToPath(new URL('../../..', import.meta.url));
export const monitoringDir = join(projectDir, 'infra/monitoring');

const programs = ['promtool', 'prometheus', 'amtool', 'alertmanager', 'busybox'];
/** A bound against hanging: the machine may be busy. */
const timeoutMs = 60_000;

const onPath = programs.every((program) => findProgram(program, process.env['PATH'] ?? '') !== undefined);

/** Where the tests cannot run, their title says why. */
export const canRunTools = onPath || isDebian12;
export const orWhyNot = canRunTools
  ? ''
  : ` (skipped: needs ${programs.join(', ')} on PATH, or Debian 12 to unpack them from)`;

export async function findTools(run: Run): Promise<Tools> {
  const folder = join(run.stateDir, 'programs');
  mkdirSync(folder, { recursive: true });
  const busybox = onPath ? linkFromPath(folder) : linkFromPackages(folder);
  await runCommand(busybox, ['--install', '-s', folder], { timeoutMs });
  const env = { PATH: `${folder}:${process.env['PATH']}` };
  return {
    env,
    run: (program, args, more) =>
      runCommand(join(folder, program), args, {
        timeoutMs,
        env: { ...env, ...more },
        cwd: folder,
        watcher: run,
      }),
  };
}

function linkFromPath(folder: string): string {
  for (const program of programs)
    symlinkSync(findProgram(program, process.env['PATH'] ?? '') ?? '', join(folder, program));
  return join(folder, 'busybox');
}

function linkFromPackages(folder: string): string {
  for (const program of ['promtool', 'prometheus', 'amtool'])
    writeStarter(join(folder, program), join(toolsHome, 'usr/bin', program));
  writeAlertmanager(folder);
  return join(toolsHome, 'bin/busybox');
}

/** Only this program gets these libraries. */
function writeStarter(path: string, program: string, cwd = '.'): void {
  const libraries = libraryFolders(toolsHome).join(':');
  writeFileSync(path, `#!/bin/sh\ncd '${cwd}' && LD_LIBRARY_PATH='${libraries}' exec '${program}' "$@"\n`);
  chmodSync(path, 0o755);
}

/** Debian's one looks for its templates where a package is installed: a copy of it looks where it is started. */
function writeAlertmanager(folder: string): void {
  const installed = '/usr/share/prometheus/alertmanager';
  const program = readFileSync(join(toolsHome, 'usr/bin/prometheus-alertmanager'));
  for (let at = program.indexOf(installed); at !== -1; at = program.indexOf(installed, at))
    program.write('.'.padEnd(installed.length, '/'), at);
  const copy = join(folder, 'prometheus-alertmanager');
  writeFileSync(copy, program, { mode: 0o755 });
  writeStarter(join(folder, 'alertmanager'), copy, join(toolsHome, installed));
}
