/** What the npm package of PostgreSQL lacks after an installation without scripts, and gets. */
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { linkLibraries } from '../../../../../infra/local/servers/postgres.ts';

function makePackage(): string {
  const dir = mkdtempSync(join(tmpdir(), 'prewarm-postgres-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'native/lib'), { recursive: true });
  writeFileSync(join(dir, 'native/lib/libpq.so.5.18'), 'a library');
  return dir;
}

it('a library is found by the names that its package lists, also at the second start', () => {
  const dir = makePackage();
  const link = (name: string) => ({ source: 'native/lib/libpq.so.5.18', target: `native/lib/${name}` });
  writeFileSync(join(dir, 'native/pg-symlinks.json'), JSON.stringify([link('libpq.so'), link('libpq.so.5')]));
  linkLibraries(dir);
  linkLibraries(dir);

  expect(readFileSync(join(dir, 'native/lib/libpq.so.5'), 'utf8')).toBe('a library');
  expect(readlinkSync(join(dir, 'native/lib/libpq.so'))).toBe('libpq.so.5.18'); // holds when the folder is moved
});

it('a package without such a list needs none', () => {
  expect(() => linkLibraries(makePackage())).not.toThrow();
});
