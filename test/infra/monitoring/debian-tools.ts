/** Programs that only these tests need, from Debian's packages: unpacked as the local runner unpacks its servers, nothing is installed. */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { removeDeadDrafts } from '../../../infra/local/drafts.ts';
import { claimRun, type Run } from '../../../infra/local/processes/run.ts';
import {
  canFetchPackages,
  fetchPackage,
  libraryFolders,
} from '../../../infra/local/servers/debian-packages.ts';
import '../../support/global-setup.ts'; // the type of what it provides

/** A package, and a file in it that is there when it is unpacked. */
export type Wanted = { readonly package: string; readonly file: string };

/** A package's folder, and the environment in which its programs find their libraries. */
export type Unpacked = { readonly home: string; readonly libraries: string };

export type TestRun = Run & { end(): void };

const toolsDir = fileURLToPath(
  new URL(`../../../.prewarm/binaries/test-tools-${process.arch}-${readRelease()}/`, import.meta.url),
);

/** The system whose packages the tests know: others have other versions, and other names. */
export const isDebian12 = readRelease() === 'debian-12' && canFetchPackages();

/** Each at most once on this machine; all at the same time. */
export async function unpack(run: Run, wanted: readonly Wanted[]): Promise<Unpacked[]> {
  mkdirSync(toolsDir, { recursive: true });
  removeDeadDrafts(toolsDir);
  const context = { run, signal: new AbortController().signal };
  return Promise.all(
    wanted.map(async ({ package: name, file }) => {
      const home = join(toolsDir, name);
      if (!existsSync(home)) await fetchPackage({ package: name, program: file, home, context });
      return { home, libraries: libraryFolders(home).join(':') };
    }),
  );
}

/** What records the processes of a test file, so that they end with it. */
export async function claimTestRun(name: string): Promise<TestRun> {
  const stateDir = join(inject('servers').stateDir, `${name}-${process.pid}`);
  mkdirSync(dirname(stateDir), { recursive: true });
  const run = await claimRun({ stateDir });
  return {
    ...run,
    end() {
      run.kill();
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

function readRelease(): string {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const read = (key: string) => new RegExp(`^${key}="?([\\w.]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return `${read('ID')}-${read('VERSION_ID')}`;
}
