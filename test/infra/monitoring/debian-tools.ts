/** Programs that only these tests need, from Debian's packages: unpacked as the local runner unpacks its servers, nothing is installed. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeDeadDrafts } from '../../../infra/local/drafts.ts';
import { claimRun } from '../../../infra/local/processes/run.ts';
import { canFetchPackages, fetchPackages } from '../../../infra/local/servers/debian-packages.ts';

const toolsDir = fileURLToPath(
  new URL(`../../../.prewarm/binaries/test-tools-${process.arch}-${readRelease()}/`, import.meta.url),
);
/** All packages are unpacked into it. */
export const toolsHome = join(toolsDir, 'all');

/** The system whose packages the tests know: others have other versions, and other names. */
export const isDebian12 = readRelease() === 'debian-12' && canFetchPackages();

const pythonDir = 'usr/lib/python3/dist-packages';

/** By package, a file in it that is there when it is unpacked. */
const wanted = {
  prometheus: 'usr/bin/promtool',
  'prometheus-alertmanager': 'usr/bin/amtool',
  'busybox-static': 'bin/busybox',
  ...pythonModules({
    // Compose 1.29 of Debian 12 is a Python program, and these are what it imports.
    'docker-compose': 'compose',
    'python3-attr': 'attr',
    'python3-cached-property': 'cached_property.py',
    'python3-certifi': 'certifi',
    'python3-chardet': 'chardet',
    'python3-distro': 'distro',
    'python3-docker': 'docker',
    'python3-dockerpty': 'dockerpty',
    'python3-docopt': 'docopt.py',
    'python3-dotenv': 'dotenv',
    'python3-idna': 'idna',
    'python3-jsonschema': 'jsonschema',
    'python3-pyrsistent': 'pyrsistent',
    'python3-requests': 'requests',
    'python3-six': 'six.py',
    'python3-texttable': 'texttable.py',
    'python3-urllib3': 'urllib3',
    'python3-websocket': 'websocket',
    'python3-yaml': 'yaml',
  }),
};

/** Where Python finds Compose and what it imports. */
export const pythonPath = (): string => join(toolsHome, pythonDir);

/** All that are missing on this machine, in one download; never rejects, because most tests need none of them. */
export async function fetchTools(report: (step: string) => void): Promise<void> {
  if (!isDebian12 || hasAll()) return;
  const packages = Object.keys(wanted);
  report(
    `Tools of the tests: downloading ${packages.length} packages of Debian (once, nothing is installed)`,
  );
  const run = await claimRun({ stateDir: mkdtempSync(join(tmpdir(), 'prewarm-tools-')) });
  try {
    mkdirSync(toolsDir, { recursive: true });
    removeDeadDrafts(toolsDir);
    rmSync(toolsHome, { recursive: true, force: true });
    const context = { run, signal: new AbortController().signal };
    await fetchPackages({ packages, program: wanted.prometheus, home: toolsHome, context });
  } catch (error) {
    report(`Tools of the tests: ${error}`);
  } finally {
    run.release();
    rmSync(run.stateDir, { recursive: true, force: true });
  }
}

function hasAll(): boolean {
  return Object.values(wanted).every((file) => existsSync(join(toolsHome, file)));
}

function pythonModules(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [name, `${pythonDir}/${file}`]));
}

function readRelease(): string {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const read = (key: string) => new RegExp(`^${key}="?([\\w.]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return `${read('ID')}-${read('VERSION_ID')}`;
}
