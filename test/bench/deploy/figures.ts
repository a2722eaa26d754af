/** What is said about a rehearsal: hit ratios, latencies and statements, of whole parts and over time. */
import { quantile } from '../statistics.ts';
import type { Outcome } from './container-process.ts';
import type { Plan } from './options.ts';
import type { Rehearsal, Stretch } from './rehearsal.ts';

type StretchFigures = {
  /** From 0 to 1. */
  readonly hitRatio: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
};

export type DeployFigures = {
  readonly steady: StretchFigures;
  /** Of the first requests of each container. */
  readonly after: StretchFigures;
  /** Sent to Postgres from the deploy to the last of those requests, by containers and warm-up. */
  readonly statements: number;
  /** What is left of them without those that the same requests cost in the steady state. */
  readonly statementsBeyond: number;
};

/** One of a row of equal spans of time. */
export type Span = {
  /** Of its middle, since the deploy; before it negative. */
  readonly atSeconds: number;
  readonly hitRatio: number;
  readonly p99Ms: number;
};

type Request = { readonly dueMs: number; readonly latencyMs: number; readonly outcome: Outcome };

export function figuresOf(rehearsal: Rehearsal, plan: Plan): DeployFigures {
  const { steady, steadyStatements, after, warmUp } = rehearsal;
  const measured = plan.measuredRequests / plan.containers;
  const sent = after.answers.reduce((sum, { statements }) => sum + (statements[measured - 1] ?? 0), 0);
  const statements = sent + (warmUp?.statements ?? 0);
  return {
    steady: describe(requestsOf(steady, plan)),
    after: describe(requestsOf(after, plan).filter(({ dueMs }) => dueMs < measured * plan.paceMs)),
    statements,
    statementsBeyond: statements - steadyStatements,
  };
}

/** The steady state ends where the deploy is; the time in which containers start is left out. */
export function spansOf({ steady, after }: Rehearsal, plan: Plan, spanMs: number): Span[] {
  const steadySeconds = ((plan.steadyRequests / plan.containers) * plan.paceMs) / 1_000;
  return [
    ...divide(requestsOf(steady, plan), spanMs).map((span) => ({
      ...span,
      atSeconds: span.atSeconds - steadySeconds,
    })),
    ...divide(requestsOf(after, plan), spanMs),
  ];
}

/** In no order. Containers take turns, so the first request of each is due a part of the pace after the one before. */
function requestsOf({ answers }: Pick<Stretch, 'answers'>, plan: Plan): Request[] {
  return answers.flatMap(({ latenciesMs, outcomes }, container) =>
    latenciesMs.map((latencyMs, index) => ({
      dueMs: (index + container / plan.containers) * plan.paceMs,
      latencyMs,
      outcome: outcomes[index] as Outcome,
    })),
  );
}

export function divide(requests: readonly Request[], spanMs: number): Span[] {
  const spans = Map.groupBy(requests, ({ dueMs }) => Math.floor(dueMs / spanMs));
  return [...spans]
    .sort(([a], [b]) => a - b)
    .map(([number, some]) => {
      const { hitRatio, p99Ms } = describe(some);
      return { atSeconds: ((number + 0.5) * spanMs) / 1_000, hitRatio, p99Ms };
    });
}

function describe(requests: readonly Request[]): StretchFigures {
  const latenciesMs = requests.map(({ latencyMs }) => latencyMs);
  const count = (outcome: Outcome) => requests.filter((request) => request.outcome === outcome).length;
  return {
    hitRatio: count('hit') / requests.length,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    failed: count('failed'),
  };
}
