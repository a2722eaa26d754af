/** Files and folders that are still being made: named after their maker, so that a later start knows which ones nobody will finish. */
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identify, isTagAlive, toTag } from './processes/process-identity.ts';

/** Where to make what gets the name `path` once it is complete. */
export function draftOf(path: string): string {
  return `${path}.draft-${ownTag()}-${randomBytes(4).toString('hex')}`;
}

/** Removes the drafts in a folder whose maker has died; a living one's are left alone, for folders can be shared. */
export function removeDeadDrafts(folder: string): void {
  for (const name of listNames(folder)) {
    const tag = /\.draft-(\d+_\w*)-[0-9a-f]{8}$/.exec(name)?.[1];
    if (tag !== undefined && !isTagAlive(tag)) remove(join(folder, name));
  }
}

function ownTag(): string {
  return toTag(identify(process.pid) ?? { pid: process.pid, startTime: '' });
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no folder, no drafts
  }
}

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // Something still writes there, or it is another user's: the next start tries again.
  }
}
