/** The parts of a running Prewarm: they stop in the reverse order, each within its limit, and a crash is told once. */
import { describe, expect, it } from 'vitest';
import { createParts } from '../../../../../infra/local/processes/parts.ts';

describe('createParts', () => {
  it('stops what was started last first, and what is still starting once it has started', async () => {
    const parts = createParts();
    const stopped: string[] = [];
    const { promise: starting, resolve } = Promise.withResolvers<string>();
    const stop = { limitMs: 1_000, run: async (name: string) => void stopped.push(name) };
    void parts.add(Promise.resolve('servers'), stop);
    void parts.add(starting, stop);
    const stopping = parts.stop();
    resolve('api');
    await stopping;
    expect(stopped).toEqual(['api', 'servers']);
  });

  it('goes on when a part failed to start, fails to stop, or takes longer than its limit', async () => {
    const parts = createParts();
    const stopped: string[] = [];
    void parts.add(Promise.resolve('last'), { limitMs: 1_000, run: async (name) => void stopped.push(name) });
    void parts.add(Promise.resolve('hangs'), { limitMs: 10, run: () => new Promise(() => {}) });
    void parts.add(Promise.resolve('throws'), { limitMs: 1_000, run: () => Promise.reject(new Error('no')) });
    parts
      .add(Promise.reject(new Error('never started')), { limitMs: 1_000, run: async () => {} })
      .catch(() => {});
    await parts.stop();
    expect(stopped).toEqual(['last']);
  });

  it('tells the first crash', async () => {
    const parts = createParts();
    parts.reportCrash('Redis', 'it ended');
    parts.reportCrash('PostgreSQL', 'it ended too');
    expect(await parts.crashed).toBe('Redis stopped unexpectedly: it ended');
  });
});
