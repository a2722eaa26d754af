/** Downloads Debian packages and what they need that this machine lacks, and unpacks them into a folder: no root, nothing installed. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { draftOf } from '../drafts.ts';
import { runCommand } from '../processes/command.ts';
import { findProgram } from './postgres-user.ts';
import type { StartContext } from './start-context.ts';

const FETCH_TIMEOUT_MS = 180_000;

/**
 * In a folder of its own, with the names of packages. Lists of our own, because the machine's may be empty or old, and are not
 * ours to renew; what is downloaded is checked by the sums in them, which the distribution has signed. The hooks are cleared
 * because distributions hang work on the machine's caches there. The C library must be the machine's own.
 */
const FETCH = `
set -e
mkdir -p lists/partial cache/archives/partial root
cat > apt.conf << END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::Lists "$PWD/lists";
Dir::Cache "$PWD/cache";
APT::Sandbox::User "";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
END
apt-get -c apt.conf -q update
apt-get -c apt.conf -q --yes --download-only --reinstall --no-install-recommends install "$@"
rm -f cache/archives/libc6_*
for archive in cache/archives/*.deb; do dpkg -x "$archive" root; done
`;

type FetchOptions = {
  /** All are unpacked into the same folder. */
  readonly packages: readonly string[];
  /** A file of one of the packages, which is there when this is done. */
  readonly program: string;
  /** Made complete or not at all. */
  readonly home: string;
  readonly context: Pick<StartContext, 'run' | 'signal'>;
};

export function canFetchPackages(): boolean {
  return process.platform === 'linux' && ['apt-get', 'dpkg'].every((tool) => findProgram(tool) !== undefined);
}

export async function fetchPackages({ packages, program, home, context }: FetchOptions): Promise<void> {
  const draft = draftOf(home);
  mkdirSync(draft, { recursive: true });
  const env = { ...process.env, LC_ALL: 'C' };
  const { run: watcher, signal } = context;
  try {
    const options = { cwd: draft, env, timeoutMs: FETCH_TIMEOUT_MS, signal, watcher };
    await runCommand('sh', ['-c', FETCH, 'fetch', ...packages], options);
    if (!existsSync(join(draft, 'root', program))) throw new Error(`The packages have no ${program}`);
    // Another start may have been quicker; its folder is as good as ours.
    await rename(join(draft, 'root'), home).catch((error) => {
      if (!existsSync(home)) throw error;
    });
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Where an unpacked tree holds its libraries: `lib`, `usr/lib`, and the folder of the architecture in each. */
export function libraryFolders(root: string): string[] {
  const folders = ['lib', 'usr/lib'].map((name) => join(root, name)).filter((folder) => existsSync(folder));
  return folders.flatMap((folder) => {
    const names = readdirSync(folder).filter((name) => name.includes('-linux-gnu'));
    return [folder, ...names.map((name) => join(folder, name))];
  });
}
