/** The state folder: made by Prewarm or taken over empty, and marked, so that `--fresh` never removes what is not Prewarm's. */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartError } from './start-error.ts';

const MARKER = '.prewarm-state';

/**
 * Makes the folder, or takes an empty one.
 * @throws StartError when it cannot be written, or holds what Prewarm did not make.
 */
export function prepareStateFolder(stateDir: string): void {
  const names = openFolder(stateDir);
  // Looked for after the list was read: what another start put there came after its marker.
  if (existsSync(join(stateDir, MARKER))) return;
  if (names.length > 0)
    throw new StartError(
      `The folder ${stateDir} is not empty and not marked as Prewarm's. Name a new or an empty folder in PREWARM_STATE_DIR.`,
    );
  writeFileSync(join(stateDir, MARKER), 'Made by Prewarm: npm start -- --fresh may remove what is here.\n');
}

function openFolder(stateDir: string): string[] {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 }); // it holds keys, and a template with a password in it
    accessSync(stateDir, constants.W_OK);
    return readdirSync(stateDir);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new StartError(
      `The folder ${stateDir} cannot be written (${code}). Start as the user who made it, or name another one in PREWARM_STATE_DIR.`,
    );
  }
}
