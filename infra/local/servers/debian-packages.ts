/** Downloads a Debian package and the libraries that it lacks here, and unpacks them into a folder: no root, nothing installed. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { runCommand } from '../processes/command.ts';
import { findProgram } from './postgres-user.ts';

const UPDATE_TIMEOUT_MS = 90_000;
const DOWNLOAD_TIMEOUT_MS = 90_000;
const STEP_TIMEOUT_MS = 20_000;
/** A package, its tools, their libraries, and what these need: more levels than any server has here. */
const LEVELS_MAX = 5;
const TOOLS = ['apt-get', 'apt-cache', 'dpkg', 'ldd'];

export type FetchOptions = {
  readonly package: string;
  /** The program inside the package; it is there and finds its libraries when this is done. */
  readonly program: string;
  /** Made complete or not at all. */
  readonly home: string;
  readonly signal: AbortSignal;
};

export function canFetchPackages(path = process.env['PATH'] ?? ''): boolean {
  return process.platform === 'linux' && TOOLS.every((tool) => findProgram(tool, path) !== undefined);
}

export async function fetchPackage(options: FetchOptions): Promise<void> {
  mkdirSync(dirname(options.home), { recursive: true });
  const draft = mkdtempSync(`${options.home}.draft-`);
  try {
    await fillDraft(draft, options);
    keepDraft(join(draft, 'root'), options.home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

async function fillDraft(draft: string, options: FetchOptions): Promise<void> {
  const apt = await prepareApt(draft, options.signal);
  const root = join(draft, 'root');
  const unpacked = new Set<string>();
  let level = [options.package];
  for (let depth = 0; depth < LEVELS_MAX; depth++) {
    await downloadAndUnpack(apt, level, root);
    for (const name of level) unpacked.add(name);
    if (await isComplete(root, options.program, options.signal)) return;
    level = (await listDependencies(apt, level)).filter((name) => !unpacked.has(name));
  }
  throw new Error(`${options.package} lacks libraries that no package named`);
}

/** Another start may have been quicker; its folder is as good as ours. */
function keepDraft(root: string, home: string): void {
  try {
    renameSync(root, home);
  } catch (error) {
    if (!existsSync(home)) throw error;
  }
}

type Apt = { readonly config: string; readonly folder: string; readonly signal: AbortSignal };

/** Package lists of our own: the machine's may be empty or old, and are not ours to renew. */
async function prepareApt(draft: string, signal: AbortSignal): Promise<Apt> {
  const config = join(draft, 'apt.conf');
  for (const folder of ['lists/partial', 'cache/archives/partial', 'packages', 'root'])
    mkdirSync(join(draft, folder), { recursive: true });
  writeFileSync(config, aptConfig(draft));
  const apt = { config, folder: draft, signal };
  await runApt(apt, 'apt-get', ['update'], UPDATE_TIMEOUT_MS);
  return apt;
}

/** The hooks are cleared because distributions hang work on the machine's own caches there. */
function aptConfig(folder: string): string {
  return [
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    `Dir::State::Lists "${folder}/lists";`,
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
  const env = { ...process.env, LC_ALL: 'C' };
  return runCommand(tool, ['-c', apt.config, '-q', ...args], {
    cwd: join(apt.folder, 'packages'),
    env,
    timeoutMs,
    signal: apt.signal,
  });
}

async function downloadAndUnpack(apt: Apt, names: readonly string[], root: string): Promise<void> {
  if (names.length === 0) return;
  const folder = join(apt.folder, 'packages');
  await runApt(apt, 'apt-get', ['download', ...names], DOWNLOAD_TIMEOUT_MS);
  for (const archive of readdirSync(folder)) {
    await runCommand('dpkg', ['-x', join(folder, archive), root], {
      timeoutMs: STEP_TIMEOUT_MS,
      signal: apt.signal,
    });
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

async function isComplete(root: string, program: string, signal: AbortSignal): Promise<boolean> {
  const file = join(root, program);
  if (!existsSync(file)) return false; // a link into a package that is still to come
  const env = { ...process.env, LC_ALL: 'C', LD_LIBRARY_PATH: libraryFolders(root).join(':') };
  // A program that is linked statically has no libraries: ldd says so by failing.
  const listing = await runCommand('ldd', [realpathSync(file)], {
    env,
    timeoutMs: STEP_TIMEOUT_MS,
    signal,
  }).catch(() => '');
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
