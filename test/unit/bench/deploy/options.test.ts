/** What `npm run bench:deploy` takes: which trace is meant. */
import { describe, expect, it } from 'vitest';
import { readDeployOptions } from '../../../bench/deploy/options.ts';

describe('the trace', () => {
  const traceOf = (...args: string[]) => readDeployOptions(args)?.trace;

  it("is by Zipf's law if none is asked for", () => {
    expect(traceOf()).toBe('zipf');
  });

  it('may be another one that is built in, or a file', () => {
    expect(traceOf('--trace', 'long-tail')).toBe('long-tail');
    expect(traceOf('--trace', 'some/Night.trace.gz')).toEqual({
      path: 'some/Night.trace.gz',
      name: 'night',
      about: undefined,
    });
  });

  it.each([
    [['--trace', 'long-tail', '--name', 'mine']],
    [['--about', 'mine']],
    [['--trace', 'some.trace', '--name', 'long-tail']],
    [['--trace', 'long-tail.trace']],
  ])('has a name of its own, so that no part of the documentation is taken for another: %j', (args) => {
    expect(() => traceOf(...args)).toThrow(/--name/);
  });
});
