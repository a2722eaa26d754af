/** What people read, for tests: a trace of requests, and how much of its top a warm-up has found. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { createRandom, SEED_USERS } from '../../infra/local/sample-users/seed-users.ts';
import { drawByZipf } from '../bench/deploy/trace.ts';

const SEED = 76_000;
const REQUESTS = 76_000;
/** How a shop's product pages are asked for: the first a thousand times, the 1,000th eight times, most of them once or never. */
const ZIPF_EXPONENT = 0.8;
const ZIPF_IDS = 20_484;

/** User ids in the order in which they are read: of the file that PREWARM_TRACE names (an id a line, from 0; may be .gz), or made up. */
export function readTrace(file = process.env['PREWARM_TRACE']): number[] {
  if (file === undefined) return makeTrace();
  const bytes = readFileSync(file);
  const lines = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trim().split('\n');
  return lines.map((line) => Number(line) + 1);
}

/** The same one every time. Who is popular lies scattered over the ids, as over the followers by which Postgres ranks. */
function makeTrace(): number[] {
  return drawByZipf(scatterIds(SEED + 1, ZIPF_IDS), ZIPF_EXPONENT, REQUESTS, createRandom(SEED));
}

/** The ids from 1 to `count`, each once, in an order that `seed` says. */
export function scatterIds(seed: number, count = SEED_USERS): number[] {
  const random = createRandom(seed);
  const drawn = Array.from({ length: count }, (_, index) => ({ id: index + 1, place: random() }));
  return drawn.sort((a, b) => a.place - b.place).map(({ id }) => id);
}

/** The share of the `top` most read ids that is among as many `found`. Those that were read as often as the last one are as right. */
export function recallOf(found: readonly number[], read: readonly number[], top: number): number {
  const counts = new Map<number, number>();
  for (const id of read) counts.set(id, (counts.get(id) ?? 0) + 1);
  const leastReads = [...counts.values()].sort((a, b) => b - a)[top - 1] as number;
  return found.slice(0, top).filter((id) => (counts.get(id) ?? 0) >= leastReads).length / top;
}
