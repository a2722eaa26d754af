/** What both benchmarks begin with: their arguments, a time limit, an end by signals, and the peers, installed beside the product's packages. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { awaitCommand } from '../../infra/local/processes/command.ts';
import { report } from './report/table.ts';
import { removeLeftRuns } from './servers.ts';

/** The run is given up then; it should take half of it. */
const DEADLINE_MS = 15 * 60_000;
const INSTALL_TIMEOUT_MS = 120_000;

export const PEERS_DIR = fileURLToPath(new URL('./peers/', import.meta.url));
/** Neither scripts of the packages nor anything that npm would like to tell or ask. */
const INSTALL = [
  'ci',
  '--prefix',
  PEERS_DIR,
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--loglevel=error',
];

/** What `read` makes of the arguments; ends with the usage when they are wrong. */
export function readArguments<T>(read: (args: readonly string[]) => T, usage: string): T {
  try {
    return read(process.argv.slice(2));
  } catch (error) {
    report(`${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

export function readNames<Name extends string>(
  text: string | undefined,
  all: readonly Name[],
  noun: 'case' | 'contestant',
): readonly Name[] {
  if (text === undefined) return all;
  const asked = text.split(',').map((name) => name.trim());
  const unknown = asked.filter((name) => !all.some((each) => each === name));
  if (unknown.length > 0) throw new Error(`There is no ${noun} ${unknown.join(', ')}.`);
  return all.filter((name) => asked.includes(name));
}

export function readInteger(option: string, text: string, lowest: number, highest: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw new Error(`${option} must be an integer from ${lowest} to ${highest}.`);
}

/** Processes end with this one, and the servers' reaper sees to the servers. */
export async function startBenchmark(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  setTimeout(() => {
    report(`Given up after ${DEADLINE_MS / 60_000} minutes.`);
    process.exit(1);
  }, DEADLINE_MS).unref();
  await removeLeftRuns();
  await installPeers();
}

/** In the exact versions of their lockfile. */
async function installPeers(): Promise<void> {
  // npm writes this file last, so an install that was cut short does not count; one of another lockfile neither.
  const isComplete = existsSync(join(PEERS_DIR, 'node_modules/.package-lock.json'));
  const { dependencies } = readJson<{ dependencies: Record<string, string> }>('package.json');
  const names = Object.keys(dependencies);
  if (isComplete && names.every((name) => installedVersion(name) === dependencies[name])) return;
  report('Installing the peers into test/bench/peers (once)');
  const code = await awaitCommand('npm', INSTALL, { timeoutMs: INSTALL_TIMEOUT_MS }, (child) => {
    child.stderr?.pipe(process.stderr);
  });
  if (code !== 0) throw new Error(`npm ci of the peers ended with ${code}.`);
}

export function installedVersion(name: string): string | undefined {
  const manifest = join('node_modules', name, 'package.json');
  return existsSync(join(PEERS_DIR, manifest)) ? readJson<{ version: string }>(manifest).version : undefined;
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(PEERS_DIR, path), 'utf8')) as T;
}
