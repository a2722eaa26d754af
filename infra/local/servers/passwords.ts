/** Passwords of the embedded servers: made once, each in a file of the state folder that nobody else may read. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export function passwordFile(stateDir: string, owner: string): string {
  return join(stateDir, `${owner}.password`);
}

/** Of characters that need no escapes in a URL. */
export function readOrCreatePassword(stateDir: string, owner: string): string {
  const file = passwordFile(stateDir, owner);
  if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString('base64url'), { mode: 0o600 });
  return readFileSync(file, 'utf8');
}
