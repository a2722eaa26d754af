/** The folders of `functions/`, one for each Lambda function. */
import { readdirSync } from 'node:fs';

export function functionFolders(): string[] {
  return readdirSync('functions', { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}
