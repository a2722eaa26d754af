/** Traces: read from files, made, divided and dealt. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePlan } from '../../../bench/deploy/options.ts';
import {
  deal,
  readTrace,
  requestsMin,
  splitTrace,
  USERS_MAX,
  ZIPF_LAWS,
  zipfTrace,
} from '../../../bench/deploy/trace.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'trace-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('a trace in a file', () => {
  it('names the user n + 1 by the id n, with and without a last line end', () => {
    expect(readTrace(write('plain.trace', '0\n7\n7\n'))).toEqual([1, 8, 8]);
    expect(readTrace(write('open.trace', '0\r\n12'))).toEqual([1, 13]);
  });

  it('may be compressed', () => {
    expect(readTrace(write('some.trace.gz', gzipSync('3\n2\n')))).toEqual([4, 3]);
  });

  it.each([['x'], ['-1'], ['1.5'], [''], ['1 2'], ['1e3'], [`${USERS_MAX}`]])(
    'says which line is no id: %j',
    (line) => {
      expect(() => readTrace(write('wrong.trace', `1\n${line}\n3\n`))).toThrow(/wrong\.trace, line 2: /);
    },
  );

  it('that is not compressed as its name says is refused by name', () => {
    expect(() => readTrace(write('plain.gz', '1\n'))).toThrow(/plain\.gz cannot be uncompressed/);
  });
});

/** How often each user is read, the most read first. */
function countsOf(trace: readonly number[]): number[] {
  const counts = [...Map.groupBy(trace, (id) => id).values()].map((some) => some.length);
  return counts.sort((a, b) => b - a);
}

describe("a trace by Zipf's law", () => {
  const { zipf, 'long-tail': longTail } = ZIPF_LAWS;

  it('is the same every time, and a shorter one is its beginning', () => {
    const trace = zipfTrace(zipf, 1_000);
    expect(zipfTrace(zipf, 1_000)).toEqual(trace);
    expect(zipfTrace(zipf, 10)).toEqual(trace.slice(0, 10));
  });

  it('reads the user of the first rank twice as often as that of the second, of so many users', () => {
    const counts = countsOf(zipfTrace(zipf, 200_000));
    const [first = 0, second = 1] = counts;
    expect(first / second).toBeCloseTo(2, 0);
    expect(first / 200_000).toBeCloseTo(1 / 10.48, 2); // one of the sum of 1 / r up to 20,000
    expect(counts.length).toBeLessThanOrEqual(zipf.usersRead);
  });

  it('with a long tail leaves a quarter of its requests to users who are not among the 20,000 most read', () => {
    const trace = zipfTrace(longTail, 100_000);
    const counts = countsOf(trace);
    const mostRead = counts.slice(0, 20_000).reduce((sum, count) => sum + count, 0);
    expect((counts[0] ?? 0) / (counts[1] ?? 1)).toBeCloseTo(2 ** 0.8, 0);
    expect(counts.length).toBeGreaterThan(2 * 20_000);
    expect(mostRead).toBeLessThan(0.75 * trace.length);
    expect(trace.every((id) => id >= 1 && id <= longTail.users)).toBe(true);
  });

  it('scatters the popular users over the ids', () => {
    const popular = [...Map.groupBy(zipfTrace(zipf, 50_000), (id) => id)]
      .sort(([, a], [, b]) => b.length - a.length)
      .slice(0, 100);
    const mean = popular.reduce((sum, [id]) => sum + id, 0) / popular.length;
    expect(mean).toBeGreaterThan(8_000);
    expect(mean).toBeLessThan(12_500);
  });
});

describe('a division', () => {
  const plan = makePlan({ rate: 100, requests: 50 });
  const traceOf = (length: number) => ({
    name: 'some',
    about: '',
    userIds: Array.from({ length }, (_, index) => index + 1),
  });

  it('takes the last requests, in their order', () => {
    const { history, steady, after } = splitTrace(traceOf(3_000), plan);
    expect([history.length, steady.length, after.length]).toEqual([1_500, 500, 1_000]);
    expect([history[0], steady[0], after[0], after.at(-1)]).toEqual([1, 1_501, 2_001, 3_000]);
  });

  it('leaves out the beginning of a trace that is longer than a run', () => {
    const { history, after } = splitTrace(traceOf(200_000), plan);
    expect(history.length).toBe(plan.historyRequestsMax);
    expect(after.at(-1)).toBe(200_000);
  });

  it('says how many lines a trace needs that is too short', () => {
    const needed = requestsMin(plan);
    expect(() => splitTrace(traceOf(needed - 1), plan)).toThrow(
      `The trace some has ${needed - 1} lines and needs ${needed} at least.`,
    );
    expect(splitTrace(traceOf(needed), plan).history.length).toBe(plan.steadyRequests);
  });

  it('deals requests in turn', () => {
    expect(deal([1, 2, 3, 4, 5], 2)).toEqual([
      [1, 3, 5],
      [2, 4],
    ]);
  });
});
