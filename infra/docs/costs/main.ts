/** Writes the generated part of docs/costs.md: `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { withCosts } from './document.ts';

const path = new URL('../../../docs/costs.md', import.meta.url);

writeFileSync(path, withCosts(readFileSync(path, 'utf8')));
