/** What `npm run bench` was asked for: which cases, how many rounds, and whether the figures go into the documentation. */
import { parseArgs } from 'node:util';

const CASE_GROUPS = [
  'l1',
  'l2',
  'many',
  'miss',
  'stampede',
  'failing',
  'frozen',
  'import',
  'memory',
  'scan',
  'warm-up',
  'large-table',
  'foreground',
  'searches',
  'promises',
] as const;
export type CaseGroup = (typeof CASE_GROUPS)[number];

export type BenchOptions = {
  readonly groups: readonly CaseGroup[];
  /** Of the timed cases. */
  readonly rounds: number;
  readonly writesDocs: boolean;
};

/** Fewer would not give a spread worth reporting. */
const ROUNDS_MIN = 15;
const ROUNDS_DEFAULT = 41;
const ROUNDS_MAX = 500;

export const USAGE = `npm run bench -- [--only ${CASE_GROUPS.join(',')}] [--rounds N] [--write-docs]`;

/** Throws an error that says what is wrong with the arguments. */
export function readBenchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: String(ROUNDS_DEFAULT) },
      'write-docs': { type: 'boolean', default: false },
    },
  });
  const groups = readGroups(values.only);
  const writesDocs = values['write-docs'];
  if (writesDocs && groups.length < CASE_GROUPS.length)
    throw new Error('--write-docs takes a run of all cases.');
  return { groups, rounds: readRounds(values.rounds), writesDocs };
}

function readGroups(only: string | undefined): readonly CaseGroup[] {
  if (only === undefined) return CASE_GROUPS;
  const asked = only.split(',').map((name) => name.trim());
  const unknown = asked.filter((name) => !CASE_GROUPS.some((group) => group === name));
  if (unknown.length > 0) throw new Error(`There is no case ${unknown.join(', ')}.`);
  return CASE_GROUPS.filter((group) => asked.includes(group));
}

function readRounds(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < ROUNDS_MIN || rounds > ROUNDS_MAX) {
    throw new Error(`--rounds must be an integer from ${ROUNDS_MIN} to ${ROUNDS_MAX}.`);
  }
  return rounds;
}
