/** What `npm run test:repeat` was asked for: how many runs, and how many busy loops beside them. */
import { parseArgs } from 'node:util';

export type RepeatOptions = {
  readonly help: boolean;
  readonly runs: number;
  /** Processes that do nothing but keep a processor busy. */
  readonly busy: number;
  /** Handed on to vitest: names of files, or options of its own. */
  readonly vitestArgs: readonly string[];
};

const RUNS_MAX = 1_000;
const BUSY_MAX = 64;

export const USAGE = 'npm run test:repeat -- [--runs 10] [--busy 2] [names of test files]';

/** Throws an error that says what is wrong with the arguments. */
export function readRepeatOptions(args: readonly string[]): RepeatOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '10' },
      busy: { type: 'string', default: '0' },
      help: { type: 'boolean', short: 'h', default: false },
    },
    allowPositionals: true,
  });
  return {
    help: values.help,
    runs: wholeNumber('--runs', values.runs, 1, RUNS_MAX),
    busy: wholeNumber('--busy', values.busy, 0, BUSY_MAX),
    vitestArgs: positionals,
  };
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= min && number <= max) return number;
  throw new Error(`${option} must be a whole number from ${min} to ${max}, but is "${text}".`);
}
