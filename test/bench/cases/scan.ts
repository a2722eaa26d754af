/** What a client who reads lists of cold ids takes from the memory of those who read what is popular. */

import { type EntrantName, isPeer, PEERS, PREWARM } from '../contestants/index.ts';
import { ZIPF_LAWS, zipfTrace } from '../deploy/trace.ts';
import { Failures } from '../failures.ts';
import { type ContestantClient, withEachContestant } from '../processes/contestant-client.ts';
import type { Scan } from '../processes/contestant-process.ts';
import type { CaseResult } from '../report/table.ts';
import { type CaseContext, insist, openingOf } from '../rounds.ts';

const ENTRANTS: readonly EntrantName[] = [PREWARM, ...PEERS];
/** After the first ones, memory has what it has in the long run. */
const UNCOUNTED = 5_000;
const COUNTED = 5_000;
/** As 20 lists a second beside 200 reads. */
const READS_PER_LIST = 10;
const LIST_IDS = 100;
/** Read in a cycle: by the time a list comes again, no memory of 1,000 entries has heard of it. */
const LISTS = 50;
/** Nothing runs out meanwhile, however long it takes. */
const MEMORY_MS = 15 * 60_000;
const LOST_POINTS_MAX = 5;
const LOST_POINTS_AIM = 2;

/** Of the counted reads, those that memory answered, in percent. */
type Hits = { readonly alone: number; readonly beside: number };

export async function runScan({ redis }: CaseContext): Promise<CaseResult> {
  const failures = new Failures<EntrantName>(isPeer);
  // In memory and Redis, or in memory only for the library that has one layer.
  const open = (entrant: EntrantName) => openingOf(redis, 'l1', entrant, { memoryMs: MEMORY_MS });
  const openings = new Map(ENTRANTS.map((entrant) => [entrant, open(entrant)]));
  const hits = new Map<EntrantName, Hits>();
  const measuring = withEachContestant(openings, failures, async (clients) => {
    for (const client of clients) {
      const measured = await client.spare(failures, () => measure(client));
      if (measured !== undefined) hits.set(client.entrant, measured);
    }
  });
  await measuring.finally(() => redis.admin.flushall());
  return describe(hits, failures);
}

/** The same reads twice, of which the uncounted ones make memory forget what was before. */
async function measure(client: ContestantClient): Promise<Hits> {
  const ids = zipfTrace(ZIPF_LAWS.zipf, UNCOUNTED + COUNTED).map(String);
  const lists = Array.from({ length: LISTS }, (_, list) => coldIds(list));
  await client.call('fill', [...ids, ...lists.flat()]); // not every library loads what a list lacks
  const scan = { ids, uncounted: UNCOUNTED, readsPerList: READS_PER_LIST };
  const alone = await insist(() => countHits(client, { ...scan, lists: [] }));
  const beside = await insist(() => countHits(client, { ...scan, lists }));
  return { alone, beside };
}

/** On a machine that stands still, Prewarm's breaker opens, which leaves it without its memory: then it loads. */
async function countHits(client: ContestantClient, scan: Scan): Promise<number> {
  const { hits, loads } = await client.call('countHits', scan);
  if (client.name === PREWARM && loads > 0) throw new Error(`${PREWARM}: ${loads} loads of what Redis has.`);
  return (100 * hits) / COUNTED;
}

/** That nobody reads but by lists. */
function coldIds(list: number): string[] {
  const first = ZIPF_LAWS.zipf.users + 1 + list * LIST_IDS;
  return Array.from({ length: LIST_IDS }, (_, index) => String(first + index));
}

function describe(hits: ReadonlyMap<EntrantName, Hits>, failures: Failures<EntrantName>): CaseResult {
  const { alone, beside } = hits.get(PREWARM) as Hits;
  return {
    title: 'Hits in memory beside a scan',
    how: `${COUNTED.toLocaleString('en')} reads by Zipf's law (exponent 1) over ${ZIPF_LAWS.zipf.usersRead.toLocaleString('en')} users through a memory of 1,000 entries that is in its steady state, one at a time; and the same reads with a list of ${LIST_IDS} ids that nobody else reads after every ${READS_PER_LIST}th of them, as 20 lists a second would come beside ${20 * READS_PER_LIST} reads. bentocache and async-cache-dedupe have no batch read: ${LIST_IDS} reads at once. Nothing is timed, and the seed is fixed.`,
    columns: ['hits in memory, %', 'beside the scan, %', 'lost, points'],
    rows: ENTRANTS.map((name) => failures.row(name, () => cellsOf(hits.get(name) as Hits))),
    verdicts: [
      {
        what: 'Hits that a scan takes from Prewarm',
        value: alone - beside,
        unit: 'points',
        atMost: LOST_POINTS_MAX,
        aim: LOST_POINTS_AIM,
      },
    ],
    raw: Object.fromEntries(hits),
  };
}

function cellsOf({ alone, beside }: Hits): string[] {
  return [alone, beside, Math.round(10 * (alone - beside)) / 10].map((value) => value.toFixed(1));
}
