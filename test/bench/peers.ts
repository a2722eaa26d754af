/** Installs the peers, in the exact versions of their lockfile, beside the product's own packages and not among them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { awaitCommand } from '../../infra/local/processes/command.ts';

export const PEERS_DIR = fileURLToPath(new URL('./peers/', import.meta.url));

const INSTALL_TIMEOUT_MS = 120_000;
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

export async function installPeers(report: (step: string) => void): Promise<void> {
  if (isInstalled()) return;
  report('Installing the peers into test/bench/peers (once)');
  const code = await awaitCommand('npm', INSTALL, { timeoutMs: INSTALL_TIMEOUT_MS }, (child) => {
    child.stderr?.pipe(process.stderr);
  });
  if (code !== 0) throw new Error(`npm ci of the peers ended with ${code}.`);
}

/** npm writes this file last, so an install that was cut short does not count; one of another lockfile neither. */
function isInstalled(): boolean {
  return existsSync(join(PEERS_DIR, 'node_modules/.package-lock.json')) && wrongVersions().length === 0;
}

function wrongVersions(): string[] {
  const wanted = readJson<{ dependencies: Record<string, string> }>(
    join(PEERS_DIR, 'package.json'),
  ).dependencies;
  return Object.keys(wanted).filter((name) => installedVersion(name) !== wanted[name]);
}

export function installedVersion(name: string): string | undefined {
  const manifest = join(PEERS_DIR, 'node_modules', name, 'package.json');
  return existsSync(manifest) ? readJson<{ version: string }>(manifest).version : undefined;
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
