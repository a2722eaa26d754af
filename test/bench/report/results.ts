/** Where the results of a run go: all figures into a JSON file, and, when asked, the tables into the documentation. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CaseResult, isReached, type Verdict } from '../cases/case-result.ts';
import { BENCH_DIR } from '../servers.ts';
import { editDocument, replaceBetween } from './document.ts';
import { type Machine, showMachine } from './machine.ts';
import { showFigure, showLimit, toMarkdown, toMarkdownTable } from './table.ts';

export type Results = {
  readonly startedAt: string;
  readonly tookSeconds: number;
  readonly rounds: number;
  readonly machine: Machine;
  readonly cases: readonly CaseResult[];
};

const BEGIN = '<!-- figures: written by npm run bench -- --write-docs -->';
const END = '<!-- end of figures -->';

/** Answers the path of the file. */
export function saveResults(results: Results): string {
  return saveFigures(results.startedAt, JSON.stringify(results, undefined, 1));
}

/** Keeps all figures of a run that began at `startedAt`; answers the path of the file. */
export function saveFigures(startedAt: string, json: string, prefix = ''): string {
  const path = join(BENCH_DIR, `${prefix}${startedAt.replaceAll(':', '-')}.json`);
  writeFileSync(path, `${json}\n`);
  return path;
}

export function writeDocs(results: Results): void {
  editDocument((text) => replaceBetween(text, BEGIN, END, figuresOf(results)));
}

function figuresOf({ startedAt, rounds, tookSeconds, machine, cases }: Results): string {
  return [
    `Measured on ${startedAt.slice(0, 10)} in one run of ${tookSeconds} s with ${rounds} rounds, on ${showMachine(machine)}.`,
    '',
    '### Summary',
    '',
    toMarkdownTable(
      ['', 'measured', 'wanted', 'aim', 'reached'],
      cases.flatMap(({ title, verdicts }) => verdicts.map((verdict) => summaryRow(title, verdict))),
    ),
    '',
    ...cases.map(toMarkdown),
  ].join('\n');
}

function summaryRow(title: string, verdict: Verdict): string[] {
  const { what, value, unit, aim } = verdict;
  return [
    `${title}: ${what}`,
    showFigure(value, unit),
    showLimit(verdict),
    aim === undefined ? '' : showFigure(aim, unit),
    isReached(verdict) ? 'yes' : 'no',
  ];
}
