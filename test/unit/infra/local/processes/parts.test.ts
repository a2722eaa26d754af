/** The parts of a running Prewarm: they stop in the reverse order, each within its limit. */
import { describe, expect, it } from 'vitest';
import { createParts } from '../../../../../infra/local/processes/parts.ts';

describe('createParts', () => {
  it('stops what was started last first, and what is still starting once it has started', async () => {
    const parts = createParts();
    const stopped: string[] = [];
    const { promise: starting, resolve } = Promise.withResolvers<string>();
    const stop = async (name: string) => void stopped.push(name);
    void parts.add(Promise.resolve('servers'), 1_000, stop);
    void parts.add(starting, 1_000, stop);
    const stopping = parts.stop();
    resolve('api');
    await stopping;
    expect(stopped).toEqual(['api', 'servers']);
  });

  it('goes on when a part failed to start, fails to stop, or takes longer than its limit', async () => {
    const parts = createParts();
    const stopped: string[] = [];
    void parts.add(Promise.resolve('last'), 1_000, async (name) => void stopped.push(name));
    void parts.add(Promise.resolve('hangs'), 10, () => new Promise(() => {}));
    void parts.add(Promise.resolve('throws'), 1_000, () => Promise.reject(new Error('no')));
    parts.add(Promise.reject(new Error('never started')), 1_000, async () => {}).catch(() => {});
    await parts.stop();
    expect(stopped).toEqual(['last']);
  });
});
