/** Files and folders that are still being made: named after their maker, so that a later start knows which ones nobody will finish. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identifySelf, isAlive } from './processes/process-identity.ts';

/** Where to make what gets the name `path` once it is complete. */
export function draftOf(path: string): string {
  return `${path}.draft-${identifySelf()}-${randomBytes(4).toString('hex')}`;
}

/** Removes the drafts in a folder whose maker has died; a living one's are left alone, for folders can be shared. */
export function removeDeadDrafts(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const maker = /\.draft-(\d+_\w*)-[0-9a-f]{8}$/.exec(name)?.[1];
    if (maker !== undefined && !isAlive(maker)) remove(join(folder, name));
  }
}

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // Something still writes there, or it is another user's: the next start tries again.
  }
}
