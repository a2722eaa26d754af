/** Finds the programs of Redis and the Pushgateway: on PATH, else unpacked earlier, else downloaded on Debian and Ubuntu. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeDeadDrafts } from '../drafts.ts';
import { describeError, StartError } from '../start-error.ts';
import { canFetchPackages, fetchPackages, libraryFolders } from './debian-packages.ts';
import { findProgram } from './postgres-user.ts';
import type { StartContext } from './start-context.ts';

type Binary = { readonly command: string; readonly env: NodeJS.ProcessEnv };

/** The first of the programs is Debian's. */
const WANTED = {
  redis: {
    title: 'Redis',
    programs: ['redis-server', 'valkey-server'],
    debianPackage: 'redis-server',
    waysOut:
      'install it (macOS: brew install redis; Fedora: dnf install valkey; Debian: apt-get install redis-server), or set REDIS_URL to one of yours',
  },
  pushgateway: {
    title: 'Pushgateway',
    programs: ['prometheus-pushgateway', 'pushgateway'],
    debianPackage: 'prometheus-pushgateway',
    waysOut:
      'put its program on PATH (https://prometheus.io/download/#pushgateway; Debian: apt-get install prometheus-pushgateway), or set PUSHGATEWAY_URL to one of yours',
  },
} as const;

const BINARIES_DIR = fileURLToPath(new URL('../../../.prewarm/binaries/', import.meta.url));

/** @throws StartError that names the ways out when there is no such program and none can be had. */
export async function findOrFetchBinary(name: keyof typeof WANTED, context: StartContext): Promise<Binary> {
  const { title, programs, debianPackage, waysOut } = WANTED[name];
  const installed = programs.map((program) => findProgram(program)).find((found) => found !== undefined);
  if (installed !== undefined) return { command: installed, env: process.env };
  const home = join(binariesDir(), name);
  const program = `usr/bin/${programs[0]}`;
  if (!existsSync(home)) {
    const explain = (why: string) =>
      new StartError(
        `${title} is missing: no ${programs.join(' or ')} on PATH, ${why}. Ways out: ${waysOut}.`,
      );
    if (!canFetchPackages()) throw explain('and there is no apt-get here to download it with');
    context.report(
      `${title}: not on PATH, downloading the package ${debianPackage} (once, nothing is installed)`,
    );
    await fetchPackages({ packages: [debianPackage], program, home, context }).catch((error) => {
      context.signal.throwIfAborted();
      throw explain(`and its download failed: ${describeError(error)}`);
    });
  }
  // Its libraries lie beside it. Only this one process gets them: a PATH or a library folder of the machine stays as it is.
  const env = { PATH: process.env['PATH'], LD_LIBRARY_PATH: libraryFolders(home).join(':') };
  return { command: join(home, program), env };
}

/** What a start that was killed has left of its downloads. */
export function removeDeadDownloads(): void {
  removeDeadDrafts(binariesDir());
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
