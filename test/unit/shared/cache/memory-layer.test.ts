/** What a container keeps in its memory, for how long, and what gives way. */
import { beforeEach, expect, it } from 'vitest';
import type { Entry } from '../../../../shared/cache/entry.ts';
import { MemoryLayer } from '../../../../shared/cache/memory-layer.ts';

const NOW_MS = 1_800_000_000_000;
const KEEP_MS = 60_000;
let memory: MemoryLayer;
let hits: [string, number][];

function entry(json: string, changes: Partial<Entry> = {}): Entry {
  const times = { readAtUs: 1_000, freshUntilMs: NOW_MS + 900_000, staleUntilMs: NOW_MS + 1_800_000 };
  return { kind: 'value', json, ...times, ...changes };
}

beforeEach(() => {
  hits = [];
  memory = new MemoryLayer({
    entriesMax: 3,
    keepMs: KEEP_MS,
    onHits: (key, count, { kind }) => hits.push([kind === 'value' ? key : kind, count]),
  });
});

it('what was not hit gives way first, and a look without use is no hit', () => {
  for (const key of ['a', 'b', 'c']) memory.set(key, entry(key), NOW_MS);
  memory.get('a', NOW_MS);
  memory.has('b', NOW_MS);
  memory.set('d', entry('d'), NOW_MS);
  expect(['a', 'b', 'c', 'd'].filter((key) => memory.has(key, NOW_MS))).toEqual(['a', 'c', 'd']);
});

it('an entry is answered for its time in memory, and never longer than it is fresh', () => {
  memory.set('long', entry('1'), NOW_MS);
  memory.set('short', entry('2', { freshUntilMs: NOW_MS + 500 }), NOW_MS);
  expect(memory.get('long', NOW_MS + KEEP_MS - 1)).toEqual({ json: '1', layer: 'l1' });
  expect(memory.get('long', NOW_MS + KEEP_MS)).toBeUndefined();
  expect(memory.get('short', NOW_MS + 499)).toMatchObject({ json: '2' });
  expect(memory.get('short', NOW_MS + 500)).toBeUndefined();
  expect(memory.getStale('short', NOW_MS + 500)?.json).toBe('2');
  expect(memory.getStale('short', NOW_MS + 1_800_000)).toBeUndefined();
});

it('what was read earlier does not replace what was read later', () => {
  memory.set('a', entry('new', { readAtUs: 2_000 }), NOW_MS);
  memory.set('a', entry('old', { readAtUs: 1_999 }), NOW_MS);
  expect(memory.get('a', NOW_MS)?.json).toBe('new');
});

it('what is answered cannot be changed by who gets it', () => {
  memory.set('a', entry('text'), NOW_MS);
  const read = memory.get('a', NOW_MS) as { json: string };
  expect(() => {
    read.json = 'other';
  }).toThrow(TypeError);
  expect(memory.get('a', NOW_MS)?.json).toBe('text');
});

it('hits are told once: when the value leaves, is replaced, or when all are asked for', () => {
  for (const key of ['a', 'b', 'c']) memory.set(key, entry(key), NOW_MS);
  for (const key of ['a', 'a', 'b', 'c']) memory.get(key, NOW_MS);
  memory.set('d', entry('d'), NOW_MS); // `a` gives way
  memory.set('b', entry('newer', { readAtUs: 2_000 }), NOW_MS);
  memory.forget('c');
  expect(hits).toEqual([
    ['a', 2],
    ['b', 1],
    ['c', 1],
  ]);
  memory.get('d', NOW_MS);
  memory.flushHitCounts();
  memory.flushHitCounts();
  memory.forgetAll();
  expect(hits.slice(3)).toEqual([['d', 1]]);
});

it('hits tell what they were of', () => {
  memory.set('none', entry('', { kind: 'absent', json: null }), NOW_MS);
  memory.get('none', NOW_MS);
  memory.flushHitCounts();
  expect(hits).toEqual([['absent', 1]]);
});

it('what was put there before the first request says so', () => {
  memory.set('hot', entry('1'), NOW_MS, 'hydrated');
  memory.set('read', entry('2'), NOW_MS);
  expect(memory.get('hot', NOW_MS)?.layer).toBe('hydrated');
  expect(memory.get('read', NOW_MS)?.layer).toBe('l1');
});

it('what is asked for among many displaces nothing at its first request, and is remembered at its second', () => {
  for (const key of ['a', 'b', 'c']) memory.set(key, entry(key), NOW_MS);
  for (const key of ['cold', 'colder', 'a']) memory.setAmongMany(key, entry(`new ${key}`), NOW_MS);
  expect(['a', 'b', 'c'].map((key) => memory.get(key, NOW_MS)?.json)).toEqual(['new a', 'b', 'c']);
  memory.setAmongMany('cold', entry('cold'), NOW_MS);
  expect(memory.get('cold', NOW_MS)?.json).toBe('cold');
  memory.setAmongMany('cold', entry('newer', { readAtUs: 2_000 }), NOW_MS);
  expect(memory.get('cold', NOW_MS)?.json).toBe('newer');
});

it('what is asked for among many is remembered at once where there is room', () => {
  memory.setAmongMany('a', entry('a'), NOW_MS);
  expect(memory.get('a', NOW_MS)?.json).toBe('a');
});

it('a crawler costs those who read what is hot none of their hits', () => {
  const large = new MemoryLayer({ entriesMax: 900, keepMs: KEEP_MS, onHits: () => {} });
  const read = (key: string): number => {
    if (large.get(key, NOW_MS) !== undefined) return 1;
    large.set(key, entry(key), NOW_MS);
    return 0;
  };
  const readHot = () =>
    Array.from({ length: 900 }, (_, hot) => read(`hot-${hot}`)).reduce((sum, hit) => sum + hit, 0);
  readHot();
  for (let cold = 0; cold < 20_000; cold++) large.setAmongMany(`cold-${cold}`, entry('cold'), NOW_MS);
  expect(readHot()).toBe(900);
});
