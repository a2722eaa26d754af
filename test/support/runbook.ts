/** What alarms point to: the entries of the runbook, by their anchors. */
import { readFileSync } from 'node:fs';

export function runbookEntries(): string[] {
  const runbook = readFileSync('docs/runbook.md', 'utf8');
  return [...runbook.matchAll(/^## (\w+)$/gm)].map(([, name = '']) => name.toLowerCase());
}
