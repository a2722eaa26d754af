/** Products by their slug. */
import type { Dataset } from '../../../shared/datasets/dataset.ts';
import { LOAD_BEGAN_US, prepared } from '../../../shared/postgres/database.ts';

const MINUTE_MS = 60_000;

/** A row for each slug, in the order asked, also for those that do not exist; one plan, however many they are. */
const LOAD = prepared(
  'load products', // Postgres plans it once a connection, under this name
  `
SELECT ${LOAD_BEGAN_US} AS read_at_us, to_json(p)::text AS json
FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS asked (slug, place)
LEFT JOIN products p ON p.slug = asked.slug
ORDER BY asked.place`,
);

const RANK = 'SELECT slug FROM products ORDER BY sold DESC, slug LIMIT $1';

export const products: Dataset<string> = {
  name: 'products', // part of the keys in Redis, and a label of the metrics
  schemaVersion: 1, // raise it when the JSON changes its form
  warmStep: 'top-products', // its name in the warm-up's report
  warmIdsMax: 2_000,
  warmBatchSize: 200, // as many as one statement loads in well under a second
  memoryEntriesMax: 200,
  timing: {
    freshMs: 40 * MINUTE_MS,
    warmFreshMs: 75 * MINUTE_MS, // two intervals of the schedule, and some
    graceMs: 60 * MINUTE_MS, // answered while Postgres is away
    absentMs: 30_000,
    memoryMs: 60_000,
  },
  key: (slug) => slug,
  idOf: (key) => (/^[a-z0-9-]{1,100}$/.test(key) ? key : undefined), // what callers send, too: 400 for another text

  async load(database, slugs) {
    const rows = await database.query<{ read_at_us: string; json: string | null }>(LOAD, [slugs]);
    return { readAtUs: Number(rows[0]?.read_at_us), values: rows.map((row) => row.json) };
  },

  async rank(database, limit) {
    const rows = await database.query<{ slug: string }>(RANK, [limit]);
    return rows.map((row) => row.slug);
  },
};
