/** The tables and verdicts of a run. */
import type { CaseResult, Verdict } from '../../cases/case-result.ts';
import { milliseconds, times } from '../../report/format.ts';
import { DEPLOY_PEERS, type DeployEntrant, WARMED } from '../contestants/index.ts';
import { type DeployFigures, figuresOf } from '../figures.ts';
import type { Plan } from '../plan.ts';
import type { Rehearsal } from '../rehearsal.ts';

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

export type DeployTable = { readonly title: string; readonly how: string };
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
