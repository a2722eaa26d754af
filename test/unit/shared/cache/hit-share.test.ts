/** How many of a container's reads its memory answers, beside a memory that keeps what was used last. */
import { LRUCache } from 'lru-cache';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../../shared/cache/entry.ts';
import { MemoryLayer } from '../../../../shared/cache/memory-layer.ts';
import { readTrace } from '../../../support/traces.ts';

const NOW_MS = 1_800_000_000_000;
const ENTRIES_MAX = 900;
const ENTRY: Entry = {
  kind: 'value',
  json: '{}',
  readAtUs: 1,
  freshUntilMs: NOW_MS + 900_000,
  staleUntilMs: NOW_MS + 900_000,
};
/** Those of one of ten containers. */
const READS = readTrace(undefined).filter((_, place) => place % 10 === 0);
const HOTTEST = hottestOf(READS);
/** Ids that are read once each, for every read of another: 20 lists of 100 a second beside 100 requests. */
const SCANNED_PER_READ = 20;
type Scan = 'none' | 'as lists' | 'as the same lists' | 'one by one';
/** More ids than there are places. */
const SAME_IDS = 5 * ENTRIES_MAX;

type Memory = { readonly read: (key: string) => boolean; readonly readInList: (key: string) => void };

/** As it was before: what was used last stays. */
function usedLast(filledWith: readonly string[] = []): Memory {
  const cache = new LRUCache<string, true>({ max: ENTRIES_MAX });
  const read = (key: string) => {
    const isHit = cache.get(key) === true;
    if (!isHit) cache.set(key, true);
    return isHit;
  };
  for (const key of filledWith.toReversed()) cache.set(key, true);
  return { read, readInList: read };
}

function ours(filledWith: readonly string[] = []): Memory {
  const memory = new MemoryLayer({ entriesMax: ENTRIES_MAX, keepMs: 60_000, onHits: () => {} });
  const read = (key: string) => {
    const isHit = memory.get(key, NOW_MS) !== undefined;
    if (!isHit) memory.set(key, ENTRY, NOW_MS);
    return isHit;
  };
  for (const key of filledWith.toReversed()) memory.set(key, ENTRY, NOW_MS, 'hydrated');
  return { read, readInList: (key) => memory.setAmongMany(key, ENTRY, NOW_MS) };
}

function hottestOf(ids: readonly number[]): string[] {
  const counts = new Map<number, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  const hottest = [...counts].sort(([, a], [, b]) => b - a).slice(0, ENTRIES_MAX);
  return hottest.map(([id]) => String(id));
}

/** In percent of all reads but the scan's. */
function hitShare(memory: Memory, scan: Scan = 'none'): number {
  let hits = 0;
  for (const [place, id] of READS.entries()) {
    if (memory.read(String(id))) hits++;
    const first = place * SCANNED_PER_READ;
    if (scan !== 'none')
      scanOnFrom(
        scan === 'as the same lists' ? first % SAME_IDS : first,
        scan === 'one by one' ? memory.read : memory.readInList,
      );
  }
  return (hits / READS.length) * 100;
}

function scanOnFrom(first: number, read: (key: string) => void): void {
  for (let place = first; place < first + SCANNED_PER_READ; place++) read(`scanned-${place}`);
}

describe('memory', () => {
  it('answers more of what is read than one that keeps what was used last', () => {
    expect(hitShare(ours()) - hitShare(usedLast())).toBeGreaterThan(2);
  });

  it('that was filled with the hottest keys keeps them better, too', () => {
    expect(hitShare(ours(HOTTEST)) - hitShare(usedLast(HOTTEST))).toBeGreaterThan(8);
  });

  it.each(['as lists', 'as the same lists', 'one by one'] as const)(
    'that is warm loses nothing to a scan of ids, %s',
    (scan) => {
      expect(hitShare(ours(HOTTEST)) - hitShare(ours(HOTTEST), scan)).toBeLessThan(1);
    },
  );

  it('that begins empty, beside a scan, learns what is hot', () => {
    const share = hitShare(ours(), 'one by one');
    expect(share).toBeGreaterThan(3 * hitShare(usedLast(), 'one by one'));
    expect(share).toBeGreaterThan(0.6 * hitShare(ours()));
  });
});
