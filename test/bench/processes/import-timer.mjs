/** Imports the module named by its argument and says how many milliseconds that took; a process imports once. */
import { argv, exit, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';

const url = pathToFileURL(argv[2]).href;
const beganMs = performance.now();
await import(url);
const tookMs = performance.now() - beganMs;
stdout.write(`${tookMs}\n`, () => exit());
