/** What may run on a machine because a package was installed there: named, and as little as can be. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };

type Lockfile = { readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>> };

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as Lockfile;
const withScripts = Object.entries(packages).flatMap(([path, { hasInstallScript }]) =>
  hasInstallScript ? [path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)] : [],
);
const allowed = Object.entries(packageJson.allowScripts).flatMap(([name, isAllowed]) =>
  isAllowed ? [name] : [],
);

it('each package with an install script is named, and npm stops at one that is not', () => {
  expect(withScripts).toContain('esbuild');
  expect(Object.keys(packageJson.allowScripts).sort()).toEqual(withScripts.sort());
  expect(readFileSync('.npmrc', 'utf8')).toMatch(/^strict-allow-scripts=true$/m);
});

it('only the script that puts Node 24 in its place may run', () => {
  expect(allowed).toEqual(['node']);
});
