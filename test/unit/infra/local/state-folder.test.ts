/** The behaviour of infra/local/state-folder.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadOrCreateIdentity } from '../../../../infra/local/identity.ts';
import { prepareStateFolder } from '../../../../infra/local/state-folder.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-state-'));

afterAll(() => rmSync(dir, { recursive: true }));

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

it('a folder with files of others is refused, for a token too', async () => {
  const stateDir = mkdtempSync(join(dir, 'foreign-'));
  writeFileSync(join(stateDir, 'dump.rdb'), '');

  expect(() => prepareStateFolder(stateDir)).toThrow(/is not empty and not marked as Prewarm's/);
  await expect(loadOrCreateIdentity(stateDir)).rejects.toThrow(/is not empty and not marked as Prewarm's/);
});

it('a path that is no folder is refused in one line', () => {
  const file = join(dir, 'file');
  writeFileSync(file, '');

  expect(() => prepareStateFolder(file)).toThrow(/^The folder [^\n]+ cannot be written \(EEXIST\)/);
});
