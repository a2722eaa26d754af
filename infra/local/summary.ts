/** The texts at the end of a start: the warm-up's report as a table, and the lines to paste. */
import type { WarmupReport } from '../../shared/warming/report.ts';
import { describeFailures, describeTotal, STEP_COLUMNS, stepCells } from '../pipeline/warmup-table.ts';

export function formatReport(report: WarmupReport): string {
  const title = `Warm-up ${report.status}   trigger ${report.trigger}   traceId ${report.traceId}   ${Math.round(report.durationMs)} ms`;
  if (report.status === 'skipped')
    return `${title}\n  another warm-up, ${report.holderTraceId ?? 'unknown'}, holds the lock`;
  const rows = [[...STEP_COLUMNS], ...report.steps.map(stepCells)];
  const aborted = report.aborted === undefined ? [] : [`  ended early: ${report.aborted}`];
  return [
    title,
    ...alignColumns(rows),
    `  ${describeTotal(report)}`,
    ...aborted,
    ...report.steps.flatMap(describeFailures).map((line) => `  ${line}`),
  ].join('\n');
}

/** Words to the left, numbers to the right. */
function alignColumns(rows: readonly string[][]): string[] {
  const widths = STEP_COLUMNS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const align = (cell: string, column: number) =>
    column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(align).join('   ')}`.trimEnd());
}

export type Closing = {
  readonly url: string;
  readonly token: string;
  readonly topUser: { readonly id: string; readonly displayName: string };
  readonly pushgatewayUrl: string;
  readonly functionsLog: string;
};

/** Each line works when it is pasted alone. */
export function formatClosing({ url, token, topUser, pushgatewayUrl, functionsLog }: Closing): string {
  const curl = (path: string) => `curl -i -H 'Authorization: Bearer ${token}' '${url}${path}'`;
  const name = encodeURIComponent(topUser.displayName.split(' ')[0] ?? '');
  return `
Prewarm is running at ${url}

Read the user with the most followers:
${curl(`/users/${topUser.id}`)}

Search users:
${curl(`/users/search?q=${name}`)}

See the cache and the last warm-ups:
${curl('/admin/status')}

Pushgateway      ${pushgatewayUrl}/metrics
Functions' log   ${functionsLog}

Ctrl-C stops everything.`;
}
