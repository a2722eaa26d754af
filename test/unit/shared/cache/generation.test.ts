/** What a container makes of its looks at the generation: also of late ones, of refused ones, and of clocks that jump. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Generation, type Look } from '../../../../shared/cache/generation.ts';

const NOW_MS = 1_800_000_000_000;
let generation: Generation;

/** A look that Redis answered at once, `afterMs` later, with what was invalidated. */
function look(afterMs: number, changes: Partial<Look> = {}): ReturnType<Generation['accept']> {
  const answer = { generation: '7', redisNowMs: NOW_MS + afterMs, invalidatedIds: [], ...changes };
  return generation.accept(answer, NOW_MS + afterMs);
}

beforeEach(() => {
  generation = new Generation();
});

describe('a look', () => {
  it('that is the first says that nothing in memory counts, the next one only what was told', () => {
    expect(look(0)).toBe('all');
    expect(look(600)).toBe('none');
    expect(look(1_200, { invalidatedIds: ['3'] })).toBe('ids');
    expect(look(1_800, { generation: '8' })).toBe('all');
    expect(generation.current).toBe('8');
  });

  it('never brings an older generation back', () => {
    look(0, { generation: '8' });
    expect(look(600, { generation: '7' })).toBe('none');
    expect(generation.current).toBe('8');
  });

  it('counts for half a second, and not before it was made', () => {
    look(0);
    expect(generation.isRecent(NOW_MS + 499)).toBe(true);
    expect(generation.isRecent(NOW_MS + 500)).toBe(false);
    expect(generation.isRecent(NOW_MS - 1)).toBe(false);
  });

  it('after a minute says that nothing counts: the list has forgotten some', () => {
    look(0);
    expect(look(60_000)).toBe('all');
  });

  it('at a Redis whose clock was set back says that nothing counts', () => {
    look(0);
    expect(look(600, { redisNowMs: NOW_MS + 300 })).toBe('all');
  });

  it('asks from a little before the last one, for clocks that differ a little', () => {
    look(0);
    expect(generation.sinceMs).toBeLessThan(NOW_MS);
    expect(look(600, { redisNowMs: NOW_MS + 500 })).toBe('none');
  });

  it('that was overtaken by a later one changes nothing', () => {
    look(0);
    look(600);
    expect(look(590)).toBe('none');
    expect(generation.isRecent(NOW_MS + 1_095)).toBe(true);
  });

  it('is believed although our own clock was set back', () => {
    look(3_600_000);
    expect(look(0, { redisNowMs: NOW_MS + 3_600_600 })).toBe('none');
    expect(generation.isRecent(NOW_MS + 100)).toBe(true);
  });
});

describe('a refused look', () => {
  it('lets memory go on for a moment when Redis was asked in vain a moment ago', () => {
    generation.skipLook(NOW_MS - 900, NOW_MS);
    expect(generation.isRecent(NOW_MS + 99)).toBe(true);
    expect(generation.isRecent(NOW_MS + 100)).toBe(false);
  });

  it.each([NOW_MS - 1_000, undefined])('does not when the last attempt was at %s', (attemptedAtMs) => {
    generation.skipLook(attemptedAtMs, NOW_MS);
    expect(generation.isRecent(NOW_MS)).toBe(false);
  });
});

describe('a load', () => {
  it('is stored for half a minute of the time that Redis told', () => {
    look(0);
    expect(generation.storableUntilMs).toBe(NOW_MS + 30_000);
  });
});
