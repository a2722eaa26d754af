/** Writes the pictures of docs/architecture.md from the templates of production: `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { drawArchitecture, insertPictures } from './architecture.ts';

const file = 'docs/architecture.md';

writeFileSync(file, insertPictures(readFileSync(file, 'utf8'), drawArchitecture()));
