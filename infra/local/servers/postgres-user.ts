/** PostgreSQL refuses to run as root: this says as whom to run it, without creating a user and without opening any folder. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** How to start a PostgreSQL program: what stands before it, and the owner its data must have. */
export type PostgresUser = {
  readonly prefix: readonly string[];
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly spawnAs: { readonly uid?: number; readonly gid?: number };
};

/** `nobody` on every system; as a number it needs no entry in /etc/passwd. */
export const NOBODY = { uid: 65534, gid: 65534 };

/**
 * With setpriv, a root's PostgreSQL runs as nobody but keeps the one capability to pass closed folders: a checkout under
 * /root or in a `mktemp -d` folder is closed to nobody. PostgreSQL checks its paths with access(2), which drops capabilities
 * of other users than root unless `no_setuid_fixup` is set.
 */
export function choosePostgresUser(): PostgresUser {
  if (process.getuid?.() !== 0) return { prefix: [], spawnAs: {} };
  const setpriv = findProgram('setpriv');
  if (setpriv === undefined) return { prefix: [], owner: NOBODY, spawnAs: NOBODY };
  const user = [`--reuid=${NOBODY.uid}`, `--regid=${NOBODY.gid}`, '--clear-groups'];
  const capability = [
    '--securebits=+no_setuid_fixup',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
  ];
  return { prefix: [setpriv, ...user, ...capability, '--'], owner: NOBODY, spawnAs: {} };
}

/** The first executable of this name on PATH. */
export function findProgram(name: string, path = process.env['PATH'] ?? ''): string | undefined {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
