/** Imports the module named by its argument, and says how many milliseconds passed until it had run or begun to wait, and until it was done. */
import process, { argv, exit, stderr, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';

const url = pathToFileURL(argv[2]).href;
const beganMs = performance.now();
let lastTurnMs = beganMs;
let longestMs = 0;
let ranAtMs = beganMs;

/** A module runs in one piece until its first `await`: the longest turn of the event loop, which ends when it has run. */
function watch() {
  const nowMs = performance.now();
  if (nowMs - lastTurnMs > longestMs) {
    longestMs = nowMs - lastTurnMs;
    ranAtMs = nowMs;
  }
  lastTurnMs = nowMs;
  setImmediate(watch);
}

// Node itself would end with its own version as the last line.
process.once('uncaughtException', (error) => stderr.write(`${error}\n`, () => exit(1)));
watch();
await import(url);
const doneAtMs = performance.now();
watch();
stdout.write(`${ranAtMs - beganMs} ${doneAtMs - beganMs}\n`, () => exit());
