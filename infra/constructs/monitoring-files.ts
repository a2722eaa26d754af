/** The configuration of the monitoring as a container writes it: the files travel in its definition, so there is nothing to fetch. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Where every container finds the files, and where the compose file mounts them. */
export const configDir = '/config';

/** A shell command, and the environment from which it writes the files. */
export type FileWriter = { readonly script: string; readonly environment: Readonly<Record<string, string>> };

/** Writes every file of a folder, under its own path, into `configDir`; ends at the first that cannot be written. */
export function writeFilesOf(folder: string): FileWriter {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const variables = files.map((file, index) => [`FILE_${index}`, readFileSync(file, 'utf8')] as const);
  return {
    script: [
      'set -e',
      ...files.map((file, index) => writeFile(relative(folder, file), `FILE_${index}`)),
    ].join('\n'),
    environment: Object.fromEntries(variables),
  };
}

function writeFile(path: string, variable: string): string {
  const target = join(configDir, path);
  return `mkdir -p ${dirname(target)}\nprintf '%s' "$${variable}" >${target}`;
}
