/** Downloads Debian packages and the libraries that they lack here, and unpacks them into a folder: no root, nothing installed. */
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { draftOf } from '../drafts.ts';
import { type CommandOptions, runCommand } from '../processes/command.ts';
import { findProgram } from './postgres-user.ts';
import type { StartContext } from './start-context.ts';

const UPDATE_TIMEOUT_MS = 90_000;
const DOWNLOAD_TIMEOUT_MS = 90_000;
const STEP_TIMEOUT_MS = 20_000;
/** A package, its tools, their libraries, and what these need: more levels than any server has here. */
const LEVELS_MAX = 5;
const TOOLS = ['apt-get', 'apt-cache', 'dpkg', 'ldd'];

export type FetchOptions = {
  /** All are unpacked into the same folder. */
  readonly packages: readonly string[];
  /** The program inside one of the packages; it is there and finds its libraries when this is done. */
  readonly program: string;
  /** Made complete or not at all. */
  readonly home: string;
  readonly context: Pick<StartContext, 'run' | 'signal'>;
};

export function canFetchPackages(path = process.env['PATH'] ?? ''): boolean {
  return process.platform === 'linux' && TOOLS.every((tool) => findProgram(tool, path) !== undefined);
}

export async function fetchPackages(options: FetchOptions): Promise<void> {
  const draft = draftOf(options.home);
  for (const folder of ['cache/archives/partial', 'packages', 'root'])
    mkdirSync(join(draft, folder), { recursive: true });
  try {
    await withLists(options, (lists) => fillDraft({ folder: draft, lists, ...options.context }, options));
    keepDraft(join(draft, 'root'), options.home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** What apt works with: a folder for these packages, and the lists. */
type Apt = { readonly folder: string; readonly lists: string } & FetchOptions['context'];

type Lists = { readonly folder: string; readonly updated: Promise<unknown>; users: number };
let shared: Lists | undefined;

/** Packages that are fetched at the same time share one download of the lists; the last one removes them. */
async function withLists(options: FetchOptions, work: (lists: string) => Promise<void>): Promise<void> {
  shared ??= { ...updateLists(options), users: 0 };
  const lists = shared;
  lists.users += 1;
  try {
    await lists.updated;
    await work(lists.folder);
  } finally {
    lists.users -= 1;
    if (lists.users === 0) {
      shared = undefined;
      rmSync(lists.folder, { recursive: true, force: true });
    }
  }
}

/** Lists of our own: the machine's may be empty or old, and are not ours to renew. */
function updateLists({ home, context }: FetchOptions): { folder: string; updated: Promise<unknown> } {
  const folder = draftOf(join(dirname(home), 'lists'));
  for (const name of ['partial', 'cache/archives/partial', 'packages'])
    mkdirSync(join(folder, name), { recursive: true });
  const apt = { folder, lists: folder, ...context };
  return { folder, updated: runApt(apt, 'apt-get', ['update'], UPDATE_TIMEOUT_MS) };
}

async function fillDraft(apt: Apt, options: FetchOptions): Promise<void> {
  const root = join(apt.folder, 'root');
  const unpacked = new Set<string>();
  let level = [...options.packages];
  for (let depth = 0; depth < LEVELS_MAX; depth++) {
    await downloadAndUnpack(apt, level, root);
    for (const name of level) unpacked.add(name);
    if (await isComplete(apt, root, options.program)) return;
    level = (await listDependencies(apt, level)).filter((name) => !unpacked.has(name));
  }
  throw new Error(`${options.program} lacks libraries that no package named`);
}

/** Another start may have been quicker; its folder is as good as ours. */
function keepDraft(root: string, home: string): void {
  try {
    renameSync(root, home);
  } catch (error) {
    if (!existsSync(home)) throw error;
  }
}

/** The hooks are cleared because distributions hang work on the machine's own caches there. */
function aptConfig({ folder, lists }: Apt): string {
  return [
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    `Dir::State::Lists "${lists}";`,
    `Dir::Cache "${folder}/cache";`,
    'APT::Sandbox::User "";',
    'Debug::NoLocking "true";',
    'Acquire::Languages "none";',
    'Acquire::Retries "2";',
    'Acquire::http::Timeout "20";',
    'Acquire::https::Timeout "20";',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";',
    'Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";',
    '',
  ].join('\n');
}

function runApt(apt: Apt, tool: string, args: readonly string[], timeoutMs: number): Promise<string> {
  const config = join(apt.folder, 'apt.conf');
  writeFileSync(config, aptConfig(apt));
  return runTool(apt, tool, ['-c', config, '-q', ...args], {
    cwd: join(apt.folder, 'packages'),
    timeoutMs,
  });
}

function runTool(
  { run, signal }: Apt,
  tool: string,
  args: readonly string[],
  options: Partial<CommandOptions> = {},
): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C', ...options.env };
  return runCommand(tool, args, { timeoutMs: STEP_TIMEOUT_MS, ...options, env, signal, watcher: run });
}

async function downloadAndUnpack(apt: Apt, names: readonly string[], root: string): Promise<void> {
  if (names.length === 0) return;
  const folder = join(apt.folder, 'packages');
  await runApt(apt, 'apt-get', ['download', ...names], DOWNLOAD_TIMEOUT_MS);
  for (const archive of readdirSync(folder)) {
    await runTool(apt, 'dpkg', ['-x', join(folder, archive), root]);
    rmSync(join(folder, archive));
  }
}

async function listDependencies(apt: Apt, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  return parseDependencies(
    await runApt(apt, 'apt-cache', ['depends', '--important', ...names], STEP_TIMEOUT_MS),
  );
}

/**
 * The packages that can hold a server's program or libraries. The C library is never among them: it must be the machine's own.
 */
export function parseDependencies(aptCacheDepends: string): string[] {
  const names = [...aptCacheDepends.matchAll(/^\s+\|?(?:Pre)?Depends: ([a-z0-9][a-z0-9+.-]*)/gm)].map(
    (match) => match[1] ?? '',
  );
  return [...new Set(names)].filter(
    (name) => /^(lib|lua-|redis-|valkey-)/.test(name) && !/^(libc6|libgcc|libstdc|libjs-)/.test(name),
  );
}

async function isComplete(apt: Apt, root: string, program: string): Promise<boolean> {
  const file = join(root, program);
  if (!existsSync(file)) return false; // a link into a package that is still to come
  const env = { LD_LIBRARY_PATH: libraryFolders(root).join(':') };
  // A program that is linked statically has no libraries: ldd says so by failing.
  const listing = await runTool(apt, 'ldd', [realpathSync(file)], { env }).catch(() => '');
  return !listing.includes('not found');
}

/** Where an unpacked tree holds its libraries: `lib`, `usr/lib`, and the folder of the architecture in each. */
export function libraryFolders(root: string): string[] {
  const roots = ['lib', 'usr/lib'].map((folder) => join(root, folder)).filter((folder) => existsSync(folder));
  return roots.flatMap((folder) => [
    folder,
    ...subfoldersOf(folder)
      .filter((name) => /-linux-gnu/.test(name))
      .map((name) => join(folder, name)),
  ]);
}

function subfoldersOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}
