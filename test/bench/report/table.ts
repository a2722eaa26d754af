/** What every case hands back, as text for the terminal, and as Markdown for the documentation. */

export type Verdict = {
  /** What is compared: "Prewarm / lru-cache get". */
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly aim?: number;
} & ({ readonly atMost: number } | { readonly atLeast: number });

export type CaseResult = {
  readonly title: string;
  /** What was done, in a sentence or two, for whoever reads the table alone. */
  readonly how: string;
  readonly columns: readonly string[];
  /** The contestant's name, then a cell for each column. */
  readonly rows: readonly (readonly string[])[];
  readonly verdicts: readonly Verdict[];
  /** That the machine had other work meanwhile. @default - it had little */
  readonly busyNote?: string;
  readonly raw: unknown;
};

/** A promise with a figure, as it was measured: times, the limit, and which of the times is held to it. */
export type Promised = {
  readonly what: string;
  readonly tookMs: readonly number[];
  readonly limitMs: number;
  /** The quantile that is judged. @default - the worst time */
  readonly judged?: 0.5 | 0.9;
  /** What the bare driver takes for the same, measured in the same run. */
  readonly floorMs?: readonly number[];
};

export function isReached(verdict: Verdict): boolean {
  return 'atMost' in verdict ? verdict.value <= verdict.atMost : verdict.value >= verdict.atLeast;
}

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

const NS_PER_US = 1_000;

export function microseconds(ns: number): string {
  const us = ns / NS_PER_US;
  return us < 100 ? us.toPrecision(3) : us.toFixed(0);
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)}×`;
}

export function milliseconds(ms: number): string {
  return Math.abs(ms) < 9.95 ? ms.toFixed(1) : ms.toFixed(0);
}

/** Tells how far the run is, beside its tables. */
export function report(step: string): void {
  process.stderr.write(`${step}\n`);
}
