/** The state folder: made by Prewarm or taken over empty, marked, so that `--fresh` never removes what is not Prewarm's, and closed. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { NOBODY } from './servers/postgres-user.ts';
import { StartError } from './start-error.ts';

const MARKER = '.prewarm-state';
/** A way through for others is left: without setpriv, PostgreSQL's user needs it, also while a second start is refused. */
const OPEN_FOLDER = 0o066;
const OPEN_ENTRY = 0o077;

/**
 * Makes the folder, or takes an empty one, and closes it and what is in it to other users, whatever they were before: there are
 * keys, passwords, and code that this user runs.
 * @throws StartError when it cannot be written, or holds what Prewarm did not make, or what another user could change.
 */
export function prepareStateFolder(stateDir: string): void {
  const names = openFolder(stateDir);
  // Looked for after the list was read: what another start put there came after its marker.
  if (!fs.existsSync(join(stateDir, MARKER))) {
    if (names.length > 0)
      throw new StartError(
        `The folder ${stateDir} is not empty and not marked as Prewarm's. Name a new or an empty folder in PREWARM_STATE_DIR.`,
      );
    const text = 'Made by Prewarm: npm start -- --fresh may remove what is here.\n';
    fs.writeFileSync(join(stateDir, MARKER), text);
  }
  if (fs.lstatSync(stateDir).mode & OPEN_FOLDER) fs.chmodSync(stateDir, 0o700);
  // Listed once more: now that the folder is closed, nobody else puts anything there.
  for (const name of fs.readdirSync(stateDir)) closeEntry(join(stateDir, name));
}

function openFolder(stateDir: string): string[] {
  try {
    fs.mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const folder = fs.lstatSync(stateDir);
    if (folder.isSymbolicLink())
      throw new StartError(
        `The folder ${stateDir} is a symbolic link. Name the folder itself in PREWARM_STATE_DIR.`,
      );
    if (folder.uid !== ownUid(folder)) throw belongsToAnother(`The folder ${stateDir}`, folder);
    fs.accessSync(stateDir, fs.constants.W_OK);
    return fs.readdirSync(stateDir);
  } catch (error) {
    if (error instanceof StartError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(
      `The folder ${stateDir} cannot be written (${code}). Start as the user who made it, or name another one in PREWARM_STATE_DIR.`,
    );
  }
}

function closeEntry(path: string): void {
  const entry = fs.lstatSync(path, { throwIfNoEntry: false });
  if (!entry) return; // it was a draft of another start
  const own = ownUid(entry);
  const isOfPostgres = own === 0 && entry.uid === NOBODY.uid && entry.isDirectory();
  if (entry.uid !== own && !isOfPostgres) throw belongsToAnother(path, entry);
  if (entry.mode & OPEN_ENTRY && !entry.isSymbolicLink()) fs.chmodSync(path, entry.mode & 0o700);
}

/** Windows has no such owners: there, all is ours. */
function ownUid({ uid }: fs.Stats): number {
  return process.getuid?.() ?? uid;
}

function belongsToAnother(what: string, { uid }: fs.Stats): StartError {
  return new StartError(
    `${what} belongs to the user ${uid}, not to you. Start as that user, or name another folder in PREWARM_STATE_DIR.`,
  );
}
