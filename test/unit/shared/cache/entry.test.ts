/** The form of cached values: what is written is read again, and anything else is a miss. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEntry, type Entry, encodeEntry } from '../../../../shared/cache/entry.ts';

const entries: fc.Arbitrary<Entry> = fc
  .record({
    json: fc.option(
      fc.json().filter((text) => text.isWellFormed()),
      { nil: null },
    ),
    readAtUs: fc.integer({ min: 1, max: 9e15 }),
    freshUntilMs: fc.integer({ min: 0, max: 9_999_999_999_999 }),
    graceMs: fc.integer({ min: 0, max: 1_000 }),
  })
  .map(({ json, readAtUs, freshUntilMs, graceMs }) => ({
    kind: json === null ? ('absent' as const) : ('value' as const),
    json,
    readAtUs,
    freshUntilMs,
    staleUntilMs: Math.min(freshUntilMs + graceMs, 9_999_999_999_999),
  }));

describe('an entry', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
      }),
    );
  });

  it('that was cut short anywhere is none', () => {
    fc.assert(
      fc.property(entries, fc.nat(), (entry, at) => {
        const encoded = encodeEntry(entry);
        expect(decodeEntry(encoded.slice(0, at % encoded.length))).toBeUndefined();
      }),
    );
  });

  it.each(['', 'null', '{"id":1}', 'v', `v${'x'.repeat(50)}`, `z${'1'.repeat(42)}00000000`])(
    'is not seen in %j',
    (text) => {
      expect(decodeEntry(text)).toBeUndefined();
    },
  );
});
