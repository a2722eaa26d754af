/** Downloads Debian packages and what they need that this machine lacks, and unpacks them into a folder: no root, nothing installed. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { draftOf } from '../drafts.ts';
import { type CommandOptions, runCommand } from '../processes/command.ts';
import { findProgram } from './postgres-user.ts';
import type { StartContext } from './start-context.ts';

const APT_TIMEOUT_MS = 90_000;
const UNPACK_TIMEOUT_MS = 20_000;

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

/** What apt downloads, it checks: by the sums in the lists, which the distribution has signed. */
export async function fetchPackages({ packages, program, home, context }: FetchOptions): Promise<void> {
  const draft = draftOf(home);
  const root = join(draft, 'root');
  mkdirSync(root, { recursive: true });
  try {
    const lists = await updatedLists(dirname(home), context);
    // Also what is installed here: where to, is not ours to say.
    const install = ['install', '--download-only', '--reinstall', '--no-install-recommends', '--yes'];
    await runApt({ folder: draft, lists }, context, [...install, ...packages]);
    const archives = join(draft, 'cache/archives');
    for (const name of readdirSync(archives).filter(isWanted))
      await runTool('dpkg', ['-x', join(archives, name), root], UNPACK_TIMEOUT_MS, context);
    if (!existsSync(join(root, program))) throw new Error(`There is no ${program} in the packages`);
    keep(root, home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** The C library must be the machine's own. */
function isWanted(archive: string): boolean {
  return archive.endsWith('.deb') && !archive.startsWith('libc6_');
}

let shared: Promise<string> | undefined;

/** Lists of our own: the machine's may be empty or old, and are not ours to renew. All fetches of this process share them. */
function updatedLists(parent: string, context: FetchOptions['context']): Promise<string> {
  shared ??= updateLists(draftOf(join(parent, 'lists')), context).catch((error) => {
    shared = undefined;
    throw error;
  });
  return shared;
}

async function updateLists(folder: string, context: FetchOptions['context']): Promise<string> {
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await runApt({ folder, lists: join(folder, 'lists') }, context, ['update']);
  return join(folder, 'lists');
}

type Apt = { readonly folder: string; readonly lists: string };

function runApt(apt: Apt, context: FetchOptions['context'], args: readonly string[]): Promise<string> {
  for (const folder of [join(apt.lists, 'partial'), join(apt.folder, 'cache/archives/partial')])
    mkdirSync(folder, { recursive: true });
  const config = join(apt.folder, 'apt.conf');
  writeFileSync(config, aptConfig(apt));
  return runTool('apt-get', ['-c', config, '-q', ...args], APT_TIMEOUT_MS, context);
}

/** The hooks are cleared because distributions hang work on the machine's own caches there. */
function aptConfig({ folder, lists }: Apt): string {
  return `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::Lists "${lists}";
Dir::Cache "${folder}/cache";
APT::Sandbox::User "";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
`;
}

function runTool(
  tool: string,
  args: readonly string[],
  timeoutMs: number,
  { run, signal }: FetchOptions['context'],
): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C' };
  return runCommand(tool, args, { timeoutMs, env, signal, watcher: run } satisfies CommandOptions);
}

/** Another start may have been quicker; its folder is as good as ours. */
function keep(root: string, home: string): void {
  try {
    renameSync(root, home);
  } catch (error) {
    if (!existsSync(home)) throw error;
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
