/** Tables as text for the terminal, and as Markdown for the documentation. */
import { type CaseResult, isReached, type Verdict } from '../cases/case-result.ts';

export function toText(result: CaseResult): string {
  const header = ['', ...result.columns];
  const table = [header, ...result.rows];
  // A line that says why there are no figures is as long as it is.
  const widthOf = (cells: readonly string[], column: number) =>
    column === 0 || cells.length === header.length ? (cells[column] ?? '').length : 0;
  const widths = header.map((_, column) => Math.max(...table.map((cells) => widthOf(cells, column))));
  const lines = table.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    ),
  );
  return [
    `\n${result.title}`,
    ...lines.map((cells) => `  ${cells.join('   ')}`),
    ...result.verdicts.map((verdict) => `  → ${describeVerdict(verdict)}`),
    ...(result.busyNote === undefined ? [] : [`  ${result.busyNote}`]),
    '',
  ].join('\n');
}

export function toMarkdown(result: CaseResult): string {
  const header = ['', ...result.columns];
  return [
    `### ${result.title}`,
    '',
    result.how,
    '',
    toMarkdownTable(header, result.rows),
    '',
    ...result.verdicts.map((verdict) => `${describeVerdict(verdict)}\n`),
    ...(result.busyNote === undefined ? [] : [`${result.busyNote}\n`]),
  ].join('\n');
}

export function toMarkdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${header.map((_, column) => (cells[column] ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = header.map((_, column) => (column === 0 ? '---' : '---:'));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

function describeVerdict(verdict: Verdict): string {
  const { what, unit, aim } = verdict;
  const wish = aim === undefined ? '' : `, aim ${showFigure(aim, unit)}`;
  const reached = isReached(verdict) ? 'reached' : 'NOT reached';
  return `${what}: ${showFigure(verdict.value, unit)}, ${showLimit(verdict)}${wish}: ${reached}`;
}

export function showLimit(verdict: Verdict): string {
  return 'atMost' in verdict
    ? `at most ${showFigure(verdict.atMost, verdict.unit)}`
    : `at least ${showFigure(verdict.atLeast, verdict.unit)}`;
}

export function showFigure(value: number, unit: string): string {
  const digits = unit === '×' ? value.toFixed(2) : String(Number(value.toFixed(1)));
  return `${digits}${unit === '×' ? '' : ' '}${unit}`;
}
