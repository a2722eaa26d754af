/** Where the results of a run go: all figures into a JSON file, and, when asked, the tables into the documentation. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BENCH_DIR } from '../servers.ts';
import { type Machine, showMachine } from './machine.ts';
import {
  type CaseResult,
  isReached,
  showFigure,
  showLimit,
  toMarkdown,
  toMarkdownTable,
  type Verdict,
} from './table.ts';

export type Results = {
  readonly startedAt: string;
  readonly tookSeconds: number;
  readonly rounds: number;
  readonly machine: Machine;
  readonly cases: readonly CaseResult[];
};

const BEGIN = '<!-- figures: written by npm run bench -- --write-docs -->';
const END = '<!-- end of figures -->';

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

const DOCUMENT = new URL('../../../docs/benchmarks.md', import.meta.url);

export function editDocument(edit: (text: string) => string): void {
  writeFileSync(DOCUMENT, edit(readFileSync(DOCUMENT, 'utf8')));
}

/** Throws when `text` lacks one of the comments. */
export function replaceBetween(text: string, begin: string, end: string, figures: string): string {
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`The document lacks ${begin} or ${end}.`);
  return `${before}${begin}\n\n${figures}\n${end}${after}`;
}
