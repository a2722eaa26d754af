/** Pages of users whose name contains a text, the most followed first. */
import { LOAD_BEGAN_US } from '../postgres/database.ts';
import type { Dataset } from './dataset.ts';
import { ID_MAX, USER_JSON } from './users.ts';

export type UserSearch = {
  /** Normalised by `normaliseQuery`. */
  readonly query: string;
  readonly limit: number;
  /** The last user of the page before, or null for the first page. */
  readonly after: { readonly followerCount: number; readonly id: number } | null;
};

export const SEARCH_PAGE_DEFAULT = 20;
const MINUTE_MS = 60_000;
/** The text of a page without a user. */
export const EMPTY_PAGE = '{"items":[],"nextCursor":null}';

/**
 * Spellings that mean the same get the same entry. This decides nothing of what is found: the database folds both sides by
 * one function of its own (`prewarm_fold`), also what is left here.
 */
export function normaliseQuery(text: string): string {
  return text.normalize('NFKC').trim().replace(/\s+/g, ' ').toLowerCase().normalize('NFKC');
}

/** Rows that are looked through first, in the order of the page: what many have is among these. */
const WALKED_MAX = 2_000;
/** Matches that the index of trigrams finds, and that are put in order then. A text with as many has more. */
const FOUND_MAX = 3_000;
/** Rows that are looked through for what the index finds too often, or not at all: two letters, or signs alone. */
const WALKED_FAR_MAX = 40_000;

/**
 * The matches among the first rows after the cursor, in the order of the page: two ranges of the index, for followers fall
 * and ids rise. The bounds are constants, because the planner must know that it need not sort the table.
 */
const walk = (condition: string, rowsMax: number) => `
    SELECT id, follower_count
    FROM (
      (SELECT id, follower_count, search_text FROM users
        WHERE ${condition} AND follower_count = asked.after_followers AND id > asked.after_id
        ORDER BY id LIMIT ${rowsMax})
      UNION ALL
      (SELECT id, follower_count, search_text FROM users
        WHERE ${condition} AND follower_count < coalesce(asked.after_followers, 2147483648)
        ORDER BY follower_count DESC, id LIMIT ${rowsMax})
    ) first_rows
    WHERE search_text LIKE asked.pattern AND id BETWEEN 1 AND ${ID_MAX}
    LIMIT asked.page_size + 1`;

const IS_NOT_FOUND = `(SELECT count(*) FROM walked) <= asked.page_size
          AND (NOT asked.has_trigram OR (SELECT count(*) FROM found) = ${FOUND_MAX})`;

/**
 * One page per search asked, as JSON text, null where it is empty. A page is read one row longer than shown, to know
 * whether another follows; the cursor names the last row shown, so pages neither skip nor repeat a user when others are
 * added.
 *
 * No index has both the order and the texts, and Postgres cannot know how many have a text that comes only with the
 * parameters. So three ways are gone, each only if the one before was not enough: `walked` reads in the order of the page;
 * `found` asks the index of trigrams, and is all there is, unless it is too many; then `walked_far` must come upon them
 * soon. What more than 3,000 have, and hardly any of the next 40,000 rows, is shown incompletely; so is what the index
 * cannot find. Nothing takes longer than these bounds, however large the table.
 */
const LOAD = `
SELECT ${LOAD_BEGAN_US} AS read_at_us,
  (SELECT row_to_json(answer) FROM (SELECT
    page.items,
    CASE WHEN page.found > asked.page_size THEN page.last_shown END AS "nextCursor"
  ) answer WHERE page.found > 0)::text AS json
FROM (
  SELECT *, '%' || regexp_replace(folded, '([\\\\%_])', '\\\\\\1', 'g') || '%' AS pattern,
    folded ~ '[[:alnum:]]{3}' AS has_trigram -- as far as pg_trgm takes them from a pattern
  FROM (
    SELECT *, prewarm_fold(query) AS folded
    FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[])
      WITH ORDINALITY AS searches (query, page_size, after_followers, after_id, place)
  ) folding
  OFFSET 0 -- folded once, not once a row
) asked
CROSS JOIN LATERAL (
  WITH walked AS MATERIALIZED (${walk('true', WALKED_MAX)}
  ),
  found AS MATERIALIZED (
    SELECT id, follower_count FROM users
    WHERE asked.has_trigram AND (SELECT count(*) FROM walked) <= asked.page_size
      AND search_text LIKE asked.pattern AND id BETWEEN 1 AND ${ID_MAX}
      AND (asked.after_id IS NULL OR follower_count < asked.after_followers
        OR (follower_count = asked.after_followers AND id > asked.after_id))
    LIMIT ${FOUND_MAX}
  ),
  walked_far AS MATERIALIZED (${walk(IS_NOT_FOUND, WALKED_FAR_MAX)}
  ),
  hits AS (
    SELECT id, row_number() OVER (ORDER BY follower_count DESC, id) AS place
    FROM (SELECT * FROM walked UNION SELECT * FROM found UNION SELECT * FROM walked_far) matches
    ORDER BY follower_count DESC, id
    LIMIT asked.page_size + 1
  )
  SELECT
    coalesce(json_agg(${USER_JSON} ORDER BY hits.place) FILTER (WHERE hits.place <= asked.page_size), '[]') AS items,
    max(u.follower_count || '-' || u.id) FILTER (WHERE hits.place = asked.page_size) AS last_shown,
    count(*) AS found
  FROM hits JOIN users u USING (id)
) page
ORDER BY asked.place`;

/** While nobody has searched yet, the first names of the most followed are warmed, and so many count as well known. */
const WELL_KNOWN_MAX = 2_000;
const RANK = `
SELECT split_part(display_name, ' ', 1) AS query
FROM (SELECT display_name, follower_count FROM users ORDER BY follower_count DESC, id LIMIT ${WELL_KNOWN_MAX}) known
WHERE char_length(split_part(display_name, ' ', 1)) >= 2
GROUP BY 1
ORDER BY sum(follower_count) DESC, 1
LIMIT $1`;

/** Limit, the last user of the page before, query, in which Postgres takes any character but one. */
const KEY = /^(\d{1,3}):(?:(\d{1,10})-(\d{1,16}))?:([^\0]+)$/;
const FOLLOWERS_MAX = 2_147_483_647;

export const userSearch: Dataset<UserSearch> = {
  name: 'user-search',
  derivedFrom: ['users'],
  takesAnyKey: true,
  schemaVersion: 1,
  warmStep: 'user-search',
  warmIdsMax: 200,
  warmBatchSize: 10,
  memoryEntriesMax: 100,
  timing: {
    freshMs: 5 * MINUTE_MS,
    warmFreshMs: 75 * MINUTE_MS,
    // Anybody can ask for any text: what is not asked for again should not stay long.
    graceMs: 15 * MINUTE_MS,
    absentMs: 30_000,
    memoryMs: 60_000,
  },
  key({ query, limit, after }) {
    return `${limit}:${after === null ? '' : `${after.followerCount}-${after.id}`}:${query}`;
  },

  idOf(key) {
    const [whole, limit, followerCount, id, query = ''] = KEY.exec(key) ?? [];
    if (whole === undefined || Number(followerCount ?? 0) > FOLLOWERS_MAX) return undefined;
    const after = id === undefined ? null : { followerCount: Number(followerCount), id: Number(id) };
    return { query, limit: Number(limit), after };
  },

  async load(database, searches) {
    const rows = await database.query<{ read_at_us: string; json: string }>(LOAD, [
      searches.map((search) => search.query),
      searches.map((search) => search.limit),
      searches.map((search) => search.after?.followerCount ?? null),
      searches.map((search) => search.after?.id ?? null),
    ]);
    return { readAtUs: Number(rows[0]?.read_at_us), values: rows.map((row) => row.json) };
  },

  async rank(database, limit) {
    const rows = await database.query<{ query: string }>(RANK, [limit]);
    return rows.map(({ query }) => ({
      query: normaliseQuery(query),
      limit: SEARCH_PAGE_DEFAULT,
      after: null,
    }));
  },
};
