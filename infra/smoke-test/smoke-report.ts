/** What the smoke test shows: lines in the terminal, annotations in a workflow of GitHub, and a page of Markdown. */
import { appendFileSync } from 'node:fs';
import type { WarmupReport } from '../../shared/warming/report.ts';
import type { Finding } from './checks.ts';
import { describeFailures, describeTotal, STEP_COLUMNS, stepCells } from './warmup-table.ts';
import type { WarmupFate } from './warmup-watch.ts';

/** Collects what is found, and prints each line as it comes. */
export class SmokeReport {
  readonly #lines: string[] = [];
  readonly #isGithub: boolean;
  readonly #summaryFile: string | undefined;
  readonly #output: { write(text: string): unknown };

  constructor(env: NodeJS.ProcessEnv, output: { write(text: string): unknown } = process.stdout) {
    this.#output = output;
    this.#isGithub = env['GITHUB_ACTIONS'] === 'true';
    this.#summaryFile = env['GITHUB_STEP_SUMMARY'] || undefined;
  }

  add({ text, warning }: Finding, durationMs: number): void {
    this.#show(`${warning === undefined ? '✓' : '!'} ${text} (${Math.round(durationMs)} ms)`);
    if (warning === undefined) return;
    this.#show(`  ${warning}`);
    this.#annotate('warning', `${text}. ${warning}`);
  }

  addFailure(message: string, next: string): void {
    this.#show(`✗ ${message}`);
    this.#show(`  ${next}`);
    this.#annotate('error', `${message}. ${next}`);
  }

  /** For a job of GitHub: the page of its summary. */
  writeSummary(apiUrl: string, verdict: 'passed' | 'failed', report?: WarmupReport): void {
    if (this.#summaryFile === undefined) return;
    const page = [`## Smoke test ${verdict}: ${apiUrl}`, '', ...this.#lines.map((line) => `    ${line}`), ''];
    appendFileSync(this.#summaryFile, [...page, ...(report ? formatMarkdown(report) : []), ''].join('\n'));
  }

  #show(line: string): void {
    this.#lines.push(line);
    this.#output.write(`${line}\n`);
  }

  #annotate(level: 'warning' | 'error', message: string): void {
    if (this.#isGithub) this.#output.write(`::${level} title=Smoke test::${escapeData(message)}\n`);
  }
}

/** A command of a workflow is one line. */
function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** A warm-up that failed is a warning: the schedule and the reads themselves fill the cache, and the API works. */
export function describeFate(fate: WarmupFate, traceId?: string): Finding {
  const name = traceId === undefined ? "The deployment's warm-up" : `The deployment's warm-up ${traceId}`;
  switch (fate.kind) {
    case 'reported':
      return judgeReport(
        `The deployment's warm-up ${fate.report.traceId}: ${fate.report.status}`,
        fate.report,
      );
    case 'replaced':
      return judgeReport(
        `${name} was skipped, because the warm-up ${fate.report.traceId} held the lock: ${fate.report.status}`,
        fate.report,
      );
    case 'running':
      return warn(`${name} is still running`, 'Look at GET /admin/status later.');
    case 'held':
      return warn(
        `${name} has no report, and the warm-up ${fate.holderTraceId} holds the lock`,
        'A warm-up that finds the lock held leaves its work to the holder: look at GET /admin/status later.',
      );
    case 'missing':
      return warn(`${name} has no report; the newest is ${nameRun(fate.newest)}`, WHERE_TO_LOOK);
    case 'redis-away':
      return warn(`${name} is unknown`, 'Reports are kept in Redis, which is away.');
  }
}

const WHERE_TO_LOOK =
  'Look for its traceId in the logs of the deployment hook and the warmer. Until the next run of the schedule, first ' +
  'reads come from Postgres; POST /admin/warm-up warms at once.';

function judgeReport(text: string, { status }: WarmupReport): Finding {
  if (status === 'success') return { text };
  return warn(text, 'The failures are below; POST /admin/warm-up tries again, and so does the schedule.');
}

function nameRun(newest: WarmupReport | undefined): string {
  if (!newest) return 'none';
  return `${newest.traceId} (${newest.trigger}, ${newest.status}, started ${newest.startedAt})`;
}

function warn(text: string, warning: string): Finding {
  return { text, warning };
}

function formatMarkdown(report: WarmupReport): string[] {
  const { status, trigger, traceId, durationMs, aborted } = report;
  return [
    `### Warm-up ${status}, trigger ${trigger}, ${Math.round(durationMs)} ms`,
    '',
    formatRow(STEP_COLUMNS),
    formatRow(STEP_COLUMNS.map((_, column) => (column < 2 ? '---' : '---:'))),
    ...report.steps.map((step) => formatRow(stepCells(step))),
    '',
    `${describeTotal(report)}; traceId \`${traceId}\``,
    ...(aborted === undefined ? [] : ['', `Ended early: ${aborted}`]),
    ...report.steps.flatMap(describeFailures).flatMap((failure) => ['', failure]),
  ];
}

function formatRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
