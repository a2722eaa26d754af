/** `npm run test:fuzz`: sends generated requests to the running API, as many as `--requests` says, and looks for what must never be answered. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
const USAGE = 'npm run test:fuzz -- [--requests 5000] [--seed 1]';
const REQUESTS_MAX = 10_000_000;

function readOptions(): { requests: string; seed: string } {
  try {
    const { values } = parseArgs({
      options: { requests: { type: 'string', default: '5000' }, seed: { type: 'string', default: '1' } },
    });
    for (const [name, text] of Object.entries(values)) {
      if (/^\d{1,8}$/.test(text) && Number(text) >= 1 && Number(text) <= REQUESTS_MAX) continue;
      throw new Error(`--${name} must be a whole number from 1 to ${REQUESTS_MAX}, but is "${text}".`);
    }
    return values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nUsage: ${USAGE}\n`);
    process.exit(2);
  }
}

const { requests, seed } = readOptions();
const child = spawn(process.execPath, [VITEST, 'run', '--mode', 'all', 'test/fuzz'], {
  env: { ...process.env, FUZZ_REQUESTS: requests, FUZZ_SEED: seed },
  stdio: 'inherit',
});
const [exitCode] = (await once(child, 'close')) as [number | null];
process.exitCode = exitCode ?? 1;
