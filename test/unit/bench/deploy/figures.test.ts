/** Figures of a rehearsal: which requests count, how time is divided, and what is reached. */
import { describe, expect, it } from 'vitest';
import type { Outcome, PacedAnswers } from '../../../bench/deploy/container-process.ts';
import type { DeployEntrant } from '../../../bench/deploy/contestants/index.ts';
import { divide, figuresOf, spansOf } from '../../../bench/deploy/figures.ts';
import { makePlan } from '../../../bench/deploy/options.ts';
import type { Rehearsal } from '../../../bench/deploy/rehearsal.ts';
import { resultOf } from '../../../bench/deploy/report.ts';
import { isReached } from '../../../bench/report/table.ts';

/** 10 containers, a request each 10 ms, 50 of each before and 50 measured after. */
const plan = makePlan({ rate: 100, requests: 50 });

type Some = { readonly latencyMs: number; readonly outcome: Outcome; readonly statements: number };

function answersOf(count: number, at: (index: number) => Some): PacedAnswers[] {
  const some = Array.from({ length: count }, (_, index) => at(index));
  const answers = {
    latenciesMs: some.map(({ latencyMs }) => latencyMs),
    outcomes: some.map(({ outcome }) => outcome),
    statements: some.map(({ statements }) => statements),
  };
  return Array.from({ length: plan.containers }, () => answers);
}

/** Before: hits in 1 ms. After: `misses` of each container in 4 ms, then hits in 1 ms, and misses in the unmeasured rest. */
function rehearsalOf(entrant: DeployEntrant, misses: number): Rehearsal {
  const after = answersOf(100, (index) => {
    const isMiss = index < misses || index >= 50;
    return { latencyMs: isMiss ? 4 : 1, outcome: isMiss ? 'miss' : 'hit', statements: index + 1 };
  });
  const steady = answersOf(50, () => ({ latencyMs: 1, outcome: 'hit', statements: 0 }));
  return {
    entrant,
    steady: { answers: steady, busy: 0.2 },
    steadyStatements: 20,
    after: { answers: after, busy: 0.3 },
    warmUp: undefined,
    transactions: 0,
  };
}

describe('the figures after a deploy', () => {
  it('are of the first requests of each container', () => {
    const figures = figuresOf(rehearsalOf('bentocache', 5), plan);
    expect(figures.steady).toEqual({ hitRatio: 1, p50Ms: 1, p99Ms: 1, failed: 0 });
    expect(figures.after).toEqual({ hitRatio: 0.9, p50Ms: 1, p99Ms: 4, failed: 0 });
    expect(figures.statements).toBe(50 * 10);
  });

  it("count the warm-up's statements", () => {
    const warmUp = { statements: 7 } as Rehearsal['warmUp'];
    expect(figuresOf({ ...rehearsalOf('Prewarm', 5), warmUp }, plan).statements).toBe(507);
  });

  it("tell the statements beyond the steady state's, with the warm-up's", () => {
    const warmUp = { statements: 7 } as Rehearsal['warmUp'];
    expect(figuresOf({ ...rehearsalOf('Prewarm', 5), warmUp }, plan).statementsBeyond).toBe(487);
  });
});

describe('spans of time', () => {
  it('end at the deploy with the steady state, and begin there again', () => {
    const spans = spansOf(rehearsalOf('Prewarm', 5), plan, 250);
    expect(spans.map(({ atSeconds }) => atSeconds)).toEqual([-0.375, -0.125, 0.125, 0.375, 0.625, 0.875]);
    expect(spans.map(({ hitRatio }) => hitRatio)).toEqual([1, 1, 0.8, 1, 0, 0]);
  });

  it('in which nothing was due are left out', () => {
    const request = { latencyMs: 2, outcome: 'hit' } as const;
    const spans = divide(
      [
        { dueMs: 950, ...request },
        { dueMs: 10, ...request },
      ],
      100,
    );
    expect(spans).toEqual([
      { atSeconds: 0.05, hitRatio: 1, p99Ms: 2 },
      { atSeconds: 0.95, hitRatio: 1, p99Ms: 2 },
    ]);
  });
});

describe('verdicts', () => {
  const reached = (rehearsals: readonly Rehearsal[]) =>
    resultOf({ title: '', how: '' }, rehearsals, plan).verdicts.map((verdict) => isReached(verdict));

  it('are reached by who is as warm as before, without the queries of the best peer', () => {
    const prewarm = rehearsalOf('Prewarm', 0);
    const quiet = { ...prewarm, after: { ...prewarm.after, answers: withoutStatements(prewarm) } };
    expect(reached([quiet, rehearsalOf('bentocache', 5)])).toEqual([true, true, true]);
  });

  it('are not reached by who is as cold as a peer', () => {
    expect(reached([rehearsalOf('Prewarm', 5), rehearsalOf('bentocache', 5)])).toEqual([false, false, false]);
  });

  it('are about the queries beyond the steady state, of whom and of the best peer', () => {
    // Of 500 queries after the deploy 470 would have been made without it, or 20.
    const coldTail = { ...rehearsalOf('Prewarm', 0), steadyStatements: 470 };
    const peers = [
      rehearsalOf('bentocache', 5),
      { ...rehearsalOf('layered-loader', 5), steadyStatements: 0 },
    ];
    const { rows, verdicts, columns } = resultOf({ title: '', how: '' }, [coldTail, ...peers], plan);
    const place = 1 + columns.indexOf('Postgres queries steady');
    expect(rows.map((cells) => cells.slice(place, place + 4))).toEqual([
      ['470', '500', '30', '0.06×'],
      ['20', '500', '480', '1.00×'],
      ['0', '500', '500', '1.04×'],
    ]);
    expect(verdicts[2]?.value).toBe(30 / 480);
  });

  it('leave out the queries where no peer felt the deploy', () => {
    const unmoved = { ...rehearsalOf('bentocache', 5), steadyStatements: 500 };
    expect(reached([rehearsalOf('Prewarm', 5), unmoved])).toHaveLength(2);
  });

  it('leave out a peer that failed, which has its line', () => {
    const failed = [['bentocache', 'failed: ended with 3']];
    const { rows, verdicts } = resultOf({ title: '', how: '' }, [rehearsalOf('Prewarm', 5)], plan, failed);
    expect(rows.map(([name]) => name)).toEqual(['Prewarm', 'bentocache']);
    expect(rows[1]).toEqual(failed[0]);
    expect(verdicts).toHaveLength(2);
  });

  it('leave out the peers where none took part', () => {
    expect(reached([rehearsalOf('Prewarm', 5)])).toHaveLength(2);
    expect(reached([rehearsalOf('bentocache', 5)])).toEqual([]);
  });
});

function withoutStatements({ after }: Rehearsal): PacedAnswers[] {
  return after.answers.map((answers) => ({ ...answers, statements: answers.statements.map(() => 0) }));
}
