/** Reads a trace from a file: one id a line, compressed if the name ends in .gz; the id n is the user n + 1. */
import { readFileSync, statSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { USERS_MAX } from './trace.ts';

/** As a file, and uncompressed: some ten million requests, of which a run reads the last ones. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

/** The users in the order in which they are read. Throws an error that names the first line that is not an id. */
export function readTrace(path: string): number[] {
  const lines = readText(path).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, index) => {
    if (isId(line)) return Number(line) + 1;
    throw new Error(
      `${path}, line ${index + 1}: ${quote(line)} is no id, an integer from 0 to ${USERS_MAX - 1}.`,
    );
  });
}

function readText(path: string): string {
  if (statSync(path).size > FILE_BYTES_MAX)
    throw new Error(`${path} is larger than ${FILE_BYTES_MAX} bytes.`);
  const bytes = readFileSync(path);
  if (!path.endsWith('.gz')) return bytes.toString('utf8');
  try {
    return gunzipSync(bytes, { maxOutputLength: FILE_BYTES_MAX }).toString('utf8');
  } catch (cause) {
    throw new Error(`${path} cannot be uncompressed: ${(cause as Error).message}.`, { cause });
  }
}

function isId(line: string): boolean {
  return /^\d{1,7}\r?$/.test(line) && Number(line) < USERS_MAX;
}

/** A binary file may be one long line. */
function quote(line: string): string {
  return JSON.stringify(line.length > 40 ? `${line.slice(0, 40)}…` : line);
}
