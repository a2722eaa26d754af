/** The plot of a run: latency and hit ratio of all contestants, from the steady state on to a while after the deploy. */
import { spansOf } from '../figures.ts';
import type { Plan } from '../plan.ts';
import type { Rehearsal } from '../rehearsal.ts';
import { drawPlot, type Series } from './plot.ts';

/** Shorter spans show more of the first moments, and have too few requests for a 99th percentile. */
const REQUESTS_PER_SPAN = 500;

export function plotOf(title: string, rehearsals: readonly Rehearsal[], plan: Plan): string {
  return drawPlot({
    title,
    xLabel:
      'seconds since the deploy; the moments in which containers start and the warm-up runs are left out',
    event: 'deploy',
    panels: [
      { value: 'p99', label: 'p99 latency, ms', scale: 'logarithmic' },
      { value: 'hits', label: 'hit ratio, %', scale: 'linear', range: [0, 100] },
    ],
    series: rehearsals.map((rehearsal) => seriesOf(rehearsal, plan)),
  });
}

function seriesOf(rehearsal: Rehearsal, plan: Plan): Series {
  const spanMs = (REQUESTS_PER_SPAN / plan.containers) * plan.paceMs;
  return {
    name: rehearsal.entrant,
    points: spansOf(rehearsal, plan, spanMs).map(({ atSeconds, hitRatio, p99Ms }) => ({
      x: atSeconds,
      values: { p99: p99Ms, hits: 100 * hitRatio },
    })),
  };
}
