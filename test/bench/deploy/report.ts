/** What a run tells: its table and verdicts, and, when asked, its part of the documentation with the plot. */
import { writeFileSync } from 'node:fs';
import type { Failures } from '../failures.ts';
import { type Machine, showMachine } from '../report/machine.ts';
import { editDocument, replaceBetween } from '../report/results.ts';
import { type CaseResult, milliseconds, times, toMarkdown, type Verdict } from '../report/table.ts';
import { DEPLOY_PEERS, type DeployEntrant, WARMED } from './contestants/index.ts';
import { type DeployFigures, figuresOf, spansOf } from './figures.ts';
import type { DeployOptions, Plan } from './options.ts';
import { drawPlot } from './plot.ts';
import type { Rehearsal } from './rehearsal.ts';
import type { Trace, TraceParts } from './trace.ts';

export type DeployInput = {
  readonly options: DeployOptions;
  readonly plan: Plan;
  readonly trace: Trace;
  readonly parts: TraceParts;
};
export type DeployRehearsals = {
  readonly machine: Machine;
  readonly postgresVersion: string;
  readonly rehearsals: readonly Rehearsal[];
  readonly failures: Failures<DeployEntrant>;
};
type DeployRun = DeployInput &
  DeployRehearsals & { readonly startedAt: string; readonly tookSeconds: number };

export function publish(run: DeployRun): CaseResult {
  const { options, plan, trace, rehearsals, failures } = run;
  const table = { title: `A deploy, ${trace.name}`, how: describeRun(run) };
  const result = resultOf(table, rehearsals, plan, failures.rows());
  if (options.writesDocs) {
    const markdown = `${toMarkdown(result)}\n${describeMachineOf(run)}\n`;
    writeDeployDocs(trace.name, markdown, plotOf(result.title, rehearsals, plan));
  }
  return result;
}

function describeRun({ plan, trace, parts, rehearsals }: DeployRun): string {
  const each = (count: number) => amount(count / plan.containers);
  const distinct = new Set(trace.userIds).size;
  return [
    trace.about,
    `${amount(parts.history.length)} requests of history, then ${each(plan.steadyRequests)} of each of ${plan.containers} containers before the deploy and ${each(plan.measuredRequests)} of each after it, ${amount(1_000 / plan.paceMs)} a second in each; ${amount(distinct)} different users.`,
    ...rehearsals.flatMap(({ warmUp }) => (warmUp === undefined ? [] : [describeWarmUp(warmUp)])),
  ].join(' ');
}

function describeWarmUp({ report, statements, tookMs }: NonNullable<Rehearsal['warmUp']>): string {
  return `The deployment's warm-up: ${report.status}, ${amount(report.warmed)} of ${amount(report.planned)} keys in ${amount(report.durationMs)} ms (${amount(Math.round(tookMs))} ms with the start of its process), ${amount(statements)} Postgres queries, which are counted.`;
}

function describeMachineOf({ startedAt, tookSeconds, machine, postgresVersion }: DeployRun): string {
  return `Measured on ${startedAt.slice(0, 10)} in one run of ${tookSeconds} s, on ${showMachine(machine, [`PostgreSQL ${postgresVersion}`])}.`;
}

function amount(count: number): string {
  return count.toLocaleString('en');
}

/** After the deploy: of the hits before it, of the latency before it, and of the best peer's statements beyond the steady state's. */
const HITS_KEPT_MIN_PERCENT = 99;
const P99_RATIO_MAX = 2;
const STATEMENTS_RATIO_MAX = 0.1;

const COLUMNS = [
  'hits before, %',
  'after, %',
  'kept, %',
  'p50 before, ms',
  'after, ms',
  'p99 before, ms',
  'after, ms',
  'p99 ratio',
  'Postgres queries steady',
  'after',
  'beyond the steady state',
  "to the best peer's",
  'machine busy before, after, %',
];

type DeployTable = { readonly title: string; readonly how: string };
type Row = { readonly rehearsal: Rehearsal; readonly figures: DeployFigures };

/** `failedRows` are the lines of those who have no figures. */
export function resultOf(
  table: DeployTable,
  rehearsals: readonly Rehearsal[],
  plan: Plan,
  failedRows: readonly (readonly string[])[] = [],
): CaseResult {
  const rows = rehearsals.map((rehearsal) => ({ rehearsal, figures: figuresOf(rehearsal, plan) }));
  const best = bestOfPeers(rows);
  return {
    ...table,
    columns: COLUMNS,
    rows: [
      ...rows.map(({ rehearsal, figures }) => [rehearsal.entrant, ...cellsOf(rehearsal, figures, best)]),
      ...failedRows,
    ],
    verdicts: verdictsOf(rows, best),
    raw: rows.map(({ rehearsal: { entrant }, figures }) => ({ entrant, ...figures })),
  };
}

function cellsOf(
  { steady: before, steadyStatements, after: later }: Rehearsal,
  { steady, after, statements, statementsBeyond }: DeployFigures,
  best: number | undefined,
): string[] {
  return [
    percent(steady.hitRatio),
    percent(after.hitRatio),
    percent(after.hitRatio / steady.hitRatio),
    precise(steady.p50Ms),
    precise(after.p50Ms),
    precise(steady.p99Ms),
    precise(after.p99Ms),
    times(after.p99Ms / steady.p99Ms),
    steadyStatements.toLocaleString('en'),
    statements.toLocaleString('en') + failures(steady.failed + after.failed),
    statementsBeyond.toLocaleString('en'),
    best === undefined ? '' : times(statementsBeyond / best),
    `${percent(before.busy, 0)}, ${percent(later.busy, 0)}`,
  ];
}

/** Most runs have none, and a column of zeros tells nothing. */
function failures(failed: number): string {
  return failed === 0 ? '' : ` (${failed} reads failed)`;
}

/** None without Prewarm; none about the peers without them. */
function verdictsOf(rows: readonly Row[], best: number | undefined): Verdict[] {
  const prewarm = figuresBy(rows, WARMED);
  if (prewarm === undefined) return [];
  const { steady, after, statementsBeyond } = prewarm;
  const verdicts: Verdict[] = [
    {
      what: 'Hit ratio with Prewarm after the deploy, to its steady state',
      value: (100 * after.hitRatio) / steady.hitRatio,
      unit: '%',
      atLeast: HITS_KEPT_MIN_PERCENT,
    },
    {
      what: 'p99 with Prewarm after the deploy, to its steady state',
      value: after.p99Ms / steady.p99Ms,
      unit: '×',
      atMost: P99_RATIO_MAX,
    },
  ];
  if (best === undefined) return verdicts;
  return [
    ...verdicts,
    {
      what: "Postgres queries beyond the steady state's with Prewarm, to the best peer's",
      value: statementsBeyond / best,
      unit: '×',
      atMost: STATEMENTS_RATIO_MAX,
    },
  ];
}

/** The fewest statements beyond the steady state's; undefined without peers, or where they felt nothing. */
function bestOfPeers(rows: readonly Row[]): number | undefined {
  const best = Math.min(...DEPLOY_PEERS.map((peer) => figuresBy(rows, peer)?.statementsBeyond ?? Infinity));
  return Number.isFinite(best) && best > 0 ? best : undefined;
}

function figuresBy(rows: readonly Row[], entrant: DeployEntrant): DeployFigures | undefined {
  return rows.find(({ rehearsal }) => rehearsal.entrant === entrant)?.figures;
}

function percent(share: number, digits = 1): string {
  return (100 * share).toFixed(digits);
}

/** A read from memory takes some microseconds. */
function precise(ms: number): string {
  return ms < 1 ? ms.toFixed(3) : milliseconds(ms);
}

/** Shorter spans show more of the first moments, and have too few requests for a 99th percentile. */
const REQUESTS_PER_SPAN = 500;

function plotOf(title: string, rehearsals: readonly Rehearsal[], plan: Plan): string {
  const spanMs = (REQUESTS_PER_SPAN / plan.containers) * plan.paceMs;
  return drawPlot({
    title,
    xLabel:
      'seconds since the deploy; the moments in which containers start and the warm-up runs are left out',
    event: 'deploy',
    panels: [
      { value: 'p99', label: 'p99 latency, ms', scale: 'logarithmic' },
      { value: 'hits', label: 'hit ratio, %', scale: 'linear', range: [0, 100] },
    ],
    series: rehearsals.map((rehearsal) => ({
      name: rehearsal.entrant,
      points: spansOf(rehearsal, plan, spanMs).map(({ atSeconds, hitRatio, p99Ms }) => ({
        x: atSeconds,
        values: { p99: p99Ms, hits: 100 * hitRatio },
      })),
    })),
  });
}

const DOCS = new URL('../../../docs/', import.meta.url);
const END_OF_ALL = '<!-- end of deploys -->';

function writeDeployDocs(name: string, markdown: string, svg: string): void {
  const file = name === 'zipf' ? 'deploy-benchmark.svg' : `deploy-benchmark-${name}.svg`;
  writeFileSync(new URL(file, DOCS), svg);
  editDocument((text) =>
    withPart(text, name, `${markdown}\n![Latency and hit ratio over time, all contestants](${file})\n`),
  );
}

/** The first run of a trace makes its part, after the others'. */
export function withPart(text: string, name: string, part: string): string {
  const begin = `<!-- deploy ${name}: written by npm run bench:deploy -- --write-docs -->`;
  const end = `<!-- end of deploy ${name} -->`;
  if (text.includes(begin)) return replaceBetween(text, begin, end, part);
  if (!text.includes(END_OF_ALL)) throw new Error(`The document lacks ${END_OF_ALL}.`);
  return text.replace(END_OF_ALL, () => `${begin}\n\n${part}\n${end}\n\n${END_OF_ALL}`);
}
