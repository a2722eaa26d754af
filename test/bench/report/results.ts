/** Where the results of a run go: all figures into a JSON file, and, when asked, the tables into the documentation. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CaseResult, isReached, type Verdict } from '../cases/case-result.ts';
import { BENCH_DIR } from '../servers.ts';
import type { Machine } from './machine.ts';
import { showFigure, toMarkdown, toMarkdownTable } from './table.ts';

export type Results = {
  readonly startedAt: string;
  readonly tookSeconds: number;
  readonly rounds: number;
  readonly machine: Machine;
  readonly cases: readonly CaseResult[];
};

const DOCUMENT = fileURLToPath(new URL('../../../docs/benchmarks.md', import.meta.url));
const BEGIN = '<!-- figures: written by npm run bench -- --write-docs -->';
const END = '<!-- end of figures -->';

/** Answers the path of the file. */
export function saveResults(results: Results): string {
  const path = join(BENCH_DIR, `${results.startedAt.replaceAll(':', '-')}.json`);
  writeFileSync(path, `${JSON.stringify(results, undefined, 1)}\n`);
  return path;
}

export function writeDocs(results: Results): void {
  const [before, rest] = readFileSync(DOCUMENT, 'utf8').split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`${DOCUMENT} lacks the markers of the figures.`);
  writeFileSync(DOCUMENT, `${before}${BEGIN}\n\n${figuresOf(results)}\n${END}${after}`);
}

function figuresOf({ startedAt, rounds, tookSeconds, machine, cases }: Results): string {
  const packages = Object.entries(machine.packages).map(([name, version]) => `${name} ${version}`);
  return [
    `Measured on ${startedAt.slice(0, 10)} in one run of ${tookSeconds} s with ${rounds} rounds, on ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}; Node ${machine.node}, Redis ${machine.redis}; ${packages.join(', ')}.`,
    '',
    '### Summary',
    '',
    toMarkdownTable(
      ['', 'measured', 'at most', 'aim', 'reached'],
      cases.flatMap(({ title, verdicts }) => verdicts.map((verdict) => summaryRow(title, verdict))),
    ),
    '',
    ...cases.map(toMarkdown),
  ].join('\n');
}

function summaryRow(title: string, verdict: Verdict): string[] {
  const { what, value, unit, atMost, aim } = verdict;
  return [
    `${title}: ${what}`,
    showFigure(value, unit),
    showFigure(atMost, unit),
    aim === undefined ? '' : showFigure(aim, unit),
    isReached(verdict) ? 'yes' : 'no',
  ];
}
