/** Finds the programs of Redis and the Pushgateway: on PATH, else unpacked earlier, else downloaded on Debian and Ubuntu. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeDeadDrafts } from '../drafts.ts';
import { describeError, StartError } from '../start-error.ts';
import { canFetchPackages, fetchPackages, libraryFolders } from './debian-packages.ts';
import { findProgram } from './postgres-user.ts';
import type { StartContext } from './start-context.ts';

export type Binary = { readonly command: string; readonly env: NodeJS.ProcessEnv };
export type BinaryName = 'redis' | 'pushgateway';

type Wanted = {
  readonly title: string;
  readonly programs: readonly string[];
  readonly debian: { readonly package: string; readonly program: string };
  readonly waysOut: string;
};

const WANTED: Record<BinaryName, Wanted> = {
  redis: {
    title: 'Redis',
    programs: ['redis-server', 'valkey-server'],
    debian: { package: 'redis-server', program: 'usr/bin/redis-server' },
    waysOut:
      'install it (macOS: brew install redis; Fedora: dnf install valkey; Debian: apt-get install redis-server), or set REDIS_URL to one of yours',
  },
  pushgateway: {
    title: 'Pushgateway',
    programs: ['prometheus-pushgateway', 'pushgateway'],
    debian: { package: 'prometheus-pushgateway', program: 'usr/bin/prometheus-pushgateway' },
    waysOut:
      'put its program on PATH (https://prometheus.io/download/#pushgateway; Debian: apt-get install prometheus-pushgateway), or set PUSHGATEWAY_URL to one of yours',
  },
};

const BINARIES_DIR = fileURLToPath(new URL('../../../.prewarm/binaries/', import.meta.url));

/** @throws StartError that names the ways out when there is no such program and none can be had. */
export async function findOrFetchBinary(name: BinaryName, context: StartContext): Promise<Binary> {
  const wanted = WANTED[name];
  const path = process.env['PATH'] ?? '';
  const installed = wanted.programs
    .map((program) => findProgram(program, path))
    .find((found) => found !== undefined);
  if (installed !== undefined) return { command: installed, env: process.env };
  const home = join(binariesDir(), name);
  if (!existsSync(home)) await fetchBinary(wanted, home, context);
  return describeUnpacked(home, wanted.debian.program);
}

async function fetchBinary(wanted: Wanted, home: string, context: StartContext): Promise<void> {
  if (!canFetchPackages())
    throw new StartError(explain(wanted, 'and there is no apt-get here to download it with'));
  context.report(
    `${wanted.title}: not on PATH, downloading the package ${wanted.debian.package} (once, nothing is installed)`,
  );
  try {
    await fetchPackages({ packages: [wanted.debian.package], program: wanted.debian.program, home, context });
  } catch (error) {
    context.signal.throwIfAborted();
    throw new StartError(explain(wanted, `and its download failed: ${describeError(error)}`));
  }
}

function explain({ title, programs, waysOut }: Wanted, why: string): string {
  return `${title} is missing: no ${programs.join(' or ')} on PATH, ${why}. Ways out: ${waysOut}.`;
}

/** What a start that was killed has left of its downloads. */
export function removeDeadDownloads(): void {
  removeDeadDrafts(binariesDir());
}

/** Its libraries lie beside it. Only this one process gets them: a PATH or a library folder of the machine stays as it is. */
function describeUnpacked(home: string, program: string): Binary {
  const command = join(home, program);
  return { command, env: { PATH: process.env['PATH'], LD_LIBRARY_PATH: libraryFolders(home).join(':') } };
}

/** A checkout may be mounted into another system, whose libraries are others. */
function binariesDir(): string {
  const parts = [process.platform, process.arch, readOsRelease('ID'), readOsRelease('VERSION_ID')];
  return join(BINARIES_DIR, parts.filter((part) => part !== '').join('-'));
}

function readOsRelease(key: string): string {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return new RegExp(`^${key}="?([\\w.]*)"?$`, 'm').exec(text)?.[1] ?? '';
}
