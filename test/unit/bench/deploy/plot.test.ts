/** The plot: well-formed, without a script, and every number in it finite. */
import { describe, expect, it } from 'vitest';
import { drawPlot, linear, logarithmic, type Plot } from '../../../bench/deploy/plot.ts';
import { withPart } from '../../../bench/deploy/report.ts';

const plot: Plot = {
  title: 'Hits & "misses" <of all>',
  xLabel: 'seconds',
  event: 'deploy',
  panels: [
    { value: 'p99', label: 'p99, ms', scale: 'logarithmic' },
    { value: 'hits', label: 'hits, %', scale: 'linear', range: [0, 100] },
  ],
  series: [
    {
      name: 'A & B',
      points: [
        { x: -10, values: { p99: 0.4, hits: 95 } },
        { x: 0.5, values: { p99: 91, hits: 30 } },
        { x: 1, values: { p99: Number.NaN, hits: 100 } },
        { x: 20, values: { p99: 0, hits: 99 } },
      ],
    },
    { name: 'nothing', points: [] },
  ],
};

/** Throws unless every element that begins ends, in order. */
function assertWellFormed(xml: string): void {
  const open: string[] = [];
  for (const [, close, name = '', empty] of xml.matchAll(
    /<(\/?)([a-z]+)(?:\s+[\w:-]+="[^"<>]*")*\s*(\/?)>/g,
  )) {
    if (empty === '/') continue;
    if (close !== '/') open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
}

describe('a plot', () => {
  const svg = drawPlot(plot);

  it('is well-formed, with all signs of texts escaped', () => {
    assertWellFormed(svg);
    expect(svg.replace(/<[^<>]*>/g, '')).not.toMatch(/[<>]|&(?!#\d+;)/);
  });

  it('has finite numbers only, a line for each series and panel, and no script', () => {
    expect(svg).not.toMatch(/NaN|Infinity|undefined|<script/);
    expect(svg.match(/<polyline/g)).toHaveLength(4);
  });

  it('names axes, event and series', () => {
    for (const text of ['p99, ms', 'hits, %', 'seconds', 'deploy', 'A &#38; B', 'nothing'])
      expect(svg).toContain(`>${text}<`);
  });
});

describe('a scale', () => {
  it('has round ticks within its range', () => {
    expect(linear([-10, 20], 0, 300).ticks).toEqual([-10, -5, 0, 5, 10, 15, 20]);
    expect(logarithmic([0.3, 40], 0, 1).ticks).toEqual([0.2, 0.5, 1, 2, 5, 10, 20, 50]);
  });

  it('places the ends of its range at the ends of the axis', () => {
    const { place } = linear([0, 100], 220, 0);
    expect([place(0), place(100)]).toEqual([220, 0]);
  });

  it.each([[[1, 1]], [[0, 0]], [[0, 5]], [[1e-9, 1e9]]] as const)('is finite for %j', (range) => {
    for (const scale of [linear(range, 0, 100), logarithmic(range, 0, 100)]) {
      for (const value of range) expect(scale.place(value)).toSatisfy(Number.isFinite);
      expect(scale.ticks.length).toBeLessThan(60);
    }
  });
});

describe('the document', () => {
  const empty = 'before\n<!-- end of deploys -->\nafter';

  it('gets a part for each trace, which a later run replaces', () => {
    const both = withPart(withPart(empty, 'zipf', 'old'), 'web', 'other');
    const again = withPart(both, 'zipf', 'new $&');
    expect(again).toContain('new $&');
    expect(again).not.toContain('old');
    expect(again.indexOf('new')).toBeLessThan(again.indexOf('other'));
    expect(again.startsWith('before\n') && again.endsWith('<!-- end of deploys -->\nafter')).toBe(true);
  });
});
