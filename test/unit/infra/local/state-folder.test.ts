/** The behaviour of infra/local/state-folder.ts. */
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadOrCreateIdentity } from '../../../../infra/local/identity.ts';
import { readOrCreateOwnerPassword } from '../../../../infra/local/servers/postgres.ts';
import { prepareStateFolder } from '../../../../infra/local/state-folder.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-state-'));
const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
const STRANGER = 12345;

afterAll(() => rmSync(dir, { recursive: true }));

/** Empty, with this mode whatever the umask is. */
function makeFolder(mode: number): string {
  const folder = mkdtempSync(join(dir, 'folder-'));
  chmodSync(folder, mode);
  return folder;
}

function writeWide(folder: string, name: string, mode: number): string {
  const file = join(folder, name);
  writeFileSync(file, 'its content');
  chmodSync(file, mode);
  return file;
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

it('a new or an empty folder is taken, and known the next time whatever is in it', () => {
  const stateDir = join(dir, 'new', 'deep');
  prepareStateFolder(stateDir);
  writeFileSync(join(stateDir, 'postgres.log'), '');

  expect(() => prepareStateFolder(stateDir)).not.toThrow();
});

it('a folder in which a token was made before the first start is taken', async () => {
  const stateDir = join(dir, 'token');
  await loadOrCreateIdentity(stateDir);

  expect(() => prepareStateFolder(stateDir)).not.toThrow();
});

it('a folder with files of others is refused, for a token too, and left as it is', async () => {
  const stateDir = makeFolder(0o755);
  const dump = writeWide(stateDir, 'dump.rdb', 0o644);

  expect(() => prepareStateFolder(stateDir)).toThrow(/is not empty and not marked as Prewarm's/);
  await expect(loadOrCreateIdentity(stateDir)).rejects.toThrow(/is not empty and not marked as Prewarm's/);
  expect([modeOf(stateDir), modeOf(dump)]).toEqual(['755', '644']);
});

it('a path that is no folder is refused in one line', () => {
  const file = join(dir, 'file');
  writeFileSync(file, '');

  expect(() => prepareStateFolder(file)).toThrow(/^The folder [^\n]+ cannot be written \(EEXIST\)/);
});

describe('a folder that is taken is closed to other users', () => {
  it.each(['755', '777', '750', '721'])('with mode %s', (mode) => {
    const stateDir = makeFolder(Number.parseInt(mode, 8));
    prepareStateFolder(stateDir);

    expect(modeOf(stateDir)).toBe('700');
  });

  it('but for the way through, which PostgreSQL needs where setpriv is missing', () => {
    const stateDir = makeFolder(0o711);
    prepareStateFolder(stateDir);

    expect(modeOf(stateDir)).toBe('711');
  });

  it('with what is in it: the key, the password and the assembly of an earlier start', async () => {
    const stateDir = makeFolder(0o700);
    prepareStateFolder(stateDir);
    chmodSync(stateDir, 0o755);
    const password = writeWide(stateDir, 'postgres.password', 0o666);
    const identity = writeWide(stateDir, 'identity.json', 0o644);
    mkdirSync(join(stateDir, 'cdk.out'));
    chmodSync(join(stateDir, 'cdk.out'), 0o777);
    prepareStateFolder(stateDir);

    expect([password, identity, join(stateDir, 'cdk.out')].map(modeOf)).toEqual(['600', '600', '700']);
    expect(readOrCreateOwnerPassword(stateDir)).toBe('its content');
  });

  it('while nothing behind a link in it is touched', () => {
    const stateDir = makeFolder(0o700);
    prepareStateFolder(stateDir);
    const elsewhere = writeWide(dir, 'elsewhere', 0o644);
    symlinkSync(elsewhere, join(stateDir, 'link'));
    symlinkSync(join(dir, 'nowhere'), join(stateDir, 'dangling'));
    prepareStateFolder(stateDir);

    expect(modeOf(elsewhere)).toBe('644');
  });
});

describe('what another user could change is refused', () => {
  it('a link in the place of the folder', () => {
    const link = join(dir, 'link');
    symlinkSync(makeFolder(0o700), link);

    expect(() => prepareStateFolder(link)).toThrow(/^The folder [^\n]+ is a symbolic link\. Name/);
    expect(existsSync(join(link, '.prewarm-state'))).toBe(false);
  });

  it.runIf(isRoot)('a folder of another user', () => {
    const stateDir = makeFolder(0o777);
    chownSync(stateDir, STRANGER, STRANGER);

    expect(() => prepareStateFolder(stateDir)).toThrow(
      /^The folder [^\n]+ belongs to the user 12345, not to/,
    );
    expect(modeOf(stateDir)).toBe('777');
  });

  it.runIf(isRoot)('a file or a link that another user has put into it', () => {
    const stateDir = makeFolder(0o777);
    prepareStateFolder(stateDir);
    const file = writeWide(stateDir, 'identity.json', 0o644);
    chownSync(file, STRANGER, STRANGER);
    expect(() => prepareStateFolder(stateDir)).toThrow(/identity\.json belongs to the user 12345, not to/);
    rmSync(file);
    symlinkSync('/etc/hostname', join(stateDir, 'postgres.password'));
    lchownSync(join(stateDir, 'postgres.password'), STRANGER, STRANGER);
    expect(() => prepareStateFolder(stateDir)).toThrow(/postgres\.password belongs to the user 12345/);
  });

  it.runIf(isRoot)('but not the data of the PostgreSQL that a root starts, which runs as nobody', () => {
    const stateDir = makeFolder(0o700);
    prepareStateFolder(stateDir);
    mkdirSync(join(stateDir, 'postgres'), { mode: 0o700 });
    chownSync(join(stateDir, 'postgres'), NOBODY, NOBODY);

    expect(() => prepareStateFolder(stateDir)).not.toThrow();
    expect(statSync(join(stateDir, 'postgres')).uid).toBe(NOBODY);
    expect(readFileSync(join(stateDir, '.prewarm-state'), 'utf8')).toContain('--fresh');
  });
});
