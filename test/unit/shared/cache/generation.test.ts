/** What a container makes of its generation checks: also of late ones, of refused ones, and of clocks that jump. */
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Generation, type GenerationCheck } from '../../../../shared/cache/generation.ts';

const NOW_MS = 1_800_000_000_000;
let generation: Generation;

/** A generation check that Redis answered at once, `afterMs` later, with what was invalidated. */
function check(
  afterMs: number,
  changes: Partial<GenerationCheck> = {},
  asked = generation.beginCheck(NOW_MS + afterMs),
): ReturnType<Generation['apply']> {
  const answer: GenerationCheck = {
    generation: '7',
    redisNowMs: NOW_MS + afterMs,
    invalidatedIds: [],
    isWhole: true,
    schemaVersions: ['1'],
    ...changes,
  };
  return generation.apply(answer, asked, NOW_MS + afterMs);
}

beforeEach(() => {
  generation = new Generation();
});

describe('a generation check', () => {
  it('that is the first says that nothing in memory counts, the next one only what was told', () => {
    expect(check(0)).toBe('all');
    expect(check(600)).toBe('none');
    expect(check(1_200, { invalidatedIds: ['3'] })).toBe('ids');
    expect(check(1_800, { generation: '8' })).toBe('all');
    expect(generation.current).toBe('8');
  });

  it('never brings an older generation back', () => {
    check(0, { generation: '8' });
    expect(check(600, { generation: '7' })).toBe('none');
    expect(generation.current).toBe('8');
  });

  it('counts for half a second, and not before it was made', () => {
    check(0);
    expect(generation.isRecent(NOW_MS + 499)).toBe(true);
    expect(generation.isRecent(NOW_MS + 500)).toBe(false);
    expect(generation.isRecent(NOW_MS - 1)).toBe(false);
  });

  it('after a minute says that nothing counts: the list has forgotten some', () => {
    check(0);
    expect(check(60_000)).toBe('all');
  });

  it('that was on its way for long does not make the next one, which is answered at once, look like a clock set back', () => {
    const late: GenerationCheck = {
      generation: '7',
      redisNowMs: NOW_MS + 400,
      invalidatedIds: [],
      isWhole: true,
      schemaVersions: ['1'],
    };
    generation.apply(late, generation.beginCheck(NOW_MS), NOW_MS + 450);
    // Redis may have answered at any time until then: so much more is asked for.
    expect(generation.sinceMs).toBe(NOW_MS + 400 - 450 - 150);
    expect(check(600)).toBe('none');
    expect(check(1_200, { redisNowMs: NOW_MS + 1_000 })).toBe('all');
  });

  it('at a Redis whose clock was set back says that nothing counts', () => {
    check(0);
    expect(check(600, { redisNowMs: NOW_MS + 300 })).toBe('all');
  });

  it('asks from a little before the last one, for clocks that differ a little', () => {
    check(0);
    expect(generation.sinceMs).toBeLessThan(NOW_MS);
    expect(check(600, { redisNowMs: NOW_MS + 500 })).toBe('none');
  });

  it('that was overtaken by a later one changes nothing, whatever the clock says', () => {
    check(0);
    const overtaken = generation.beginCheck(NOW_MS + 700);
    check(600);
    expect(check(700, { invalidatedIds: ['3'] }, overtaken)).toBe('none');
    expect(generation.isRecent(NOW_MS + 1_095)).toBe(true);
  });

  it('after our own clock was set back is believed, and says that nothing in memory counts: it would not expire', () => {
    check(3_600_000);
    expect(check(0, { redisNowMs: NOW_MS + 3_600_600 })).toBe('all');
    expect(generation.isRecent(NOW_MS + 100)).toBe(true);
    expect(check(500, { redisNowMs: NOW_MS + 3_601_100 })).toBe('none');
  });

  it('that does not tell all that was invalidated says that nothing counts', () => {
    check(0);
    expect(check(600, { isWhole: false })).toBe('all');
  });

  it('is forgotten when the clock is set back by less than it counts for', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    check(0, {}, generation.beginCheck());
    vi.setSystemTime(NOW_MS - 400);
    generation.nowMs();
    expect(generation.isRecent(NOW_MS)).toBe(false);
  });

  it('tells of which schema versions there may be entries', () => {
    check(0, { schemaVersions: ['1', '2'] });
    expect(generation.schemaVersions).toEqual(['1', '2']);
  });
});

describe('a refused generation check', () => {
  it('lets memory go on for a moment when Redis was asked in vain a moment ago', () => {
    generation.skipCheck(NOW_MS - 900, NOW_MS);
    expect(generation.isRecent(NOW_MS + 99)).toBe(true);
    expect(generation.isRecent(NOW_MS + 100)).toBe(false);
  });

  it('lets nothing go on for longer than a second after that attempt: a clear may have been made since', () => {
    generation.skipCheck(NOW_MS - 950, NOW_MS);
    expect(generation.isRecent(NOW_MS + 49)).toBe(true);
    expect(generation.isRecent(NOW_MS + 50)).toBe(false);
  });

  it.each([NOW_MS - 1_000, NOW_MS + 3_600_000, undefined])(
    'does not when the last attempt was at %s',
    (attemptedAtMs) => {
      generation.skipCheck(attemptedAtMs, NOW_MS);
      expect(generation.isRecent(NOW_MS)).toBe(false);
    },
  );
});

describe('a load', () => {
  it('is stored for half a minute of the time that Redis told, and knows from when on it may be overtaken', () => {
    check(0);
    expect(generation.storable).toEqual({ notAfterMs: NOW_MS + 30_000, sinceMs: generation.sinceMs });
  });
});
