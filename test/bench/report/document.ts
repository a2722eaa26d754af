/** The document with all figures: each benchmark writes between comments of its own, and people around them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const DOCUMENT = fileURLToPath(new URL('../../../docs/benchmarks.md', import.meta.url));

export function editDocument(edit: (text: string) => string): void {
  writeFileSync(DOCUMENT, edit(readFileSync(DOCUMENT, 'utf8')));
}

/** Throws when `text` lacks one of the comments. */
export function replaceBetween(text: string, begin: string, end: string, figures: string): string {
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`The document lacks ${begin} or ${end}.`);
  return `${before}${begin}\n\n${figures}\n${end}${after}`;
}
