/** Pages of users whose name contains a text, the most followed first. */
import { LOAD_BEGAN_US } from '../postgres/database.ts';
import type { Dataset } from './dataset.ts';
import { USER_JSON } from './users.ts';

export type UserSearch = {
  /** Normalised by `normaliseQuery`. */
  readonly query: string;
  readonly limit: number;
  /** The last user of the page before, or null for the first page. */
  readonly after: { readonly followerCount: number; readonly id: number } | null;
};

export const SEARCH_PAGE_DEFAULT = 20;
const MINUTE_MS = 60_000;

/** Queries that find the same get the same entry: case and white space do not matter. */
export function normaliseQuery(text: string): string {
  return text.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase();
}

/** `%` and `_` are wildcards of LIKE and mean themselves here, as does the escape character. */
function containsPattern(query: string): string {
  return `%${query.replace(/[\\%_]/g, '\\$&')}%`;
}

/**
 * One page per search asked, as JSON text. A page is read one row longer than shown, to know whether another follows;
 * the cursor names the last row shown, so pages neither skip nor repeat a user when others are added.
 */
const LOAD = `
SELECT ${LOAD_BEGAN_US} AS read_at_us,
  (SELECT row_to_json(answer) FROM (SELECT
    page.items,
    CASE WHEN page.found > asked.page_size THEN page.last_shown END AS "nextCursor"
  ) answer)::text AS json
FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[])
  WITH ORDINALITY AS asked (pattern, page_size, after_followers, after_id, place)
CROSS JOIN LATERAL (
  SELECT
    coalesce(json_agg(hit.json ORDER BY hit.place) FILTER (WHERE hit.place <= asked.page_size), '[]') AS items,
    max(hit.position) FILTER (WHERE hit.place = asked.page_size) AS last_shown,
    count(*) AS found
  FROM (
    SELECT ${USER_JSON} AS json,
      u.follower_count || '-' || u.id AS position,
      row_number() OVER (ORDER BY u.follower_count DESC, u.id) AS place
    FROM users u
    WHERE u.search_text LIKE asked.pattern
      AND (asked.after_id IS NULL OR u.follower_count < asked.after_followers
        OR (u.follower_count = asked.after_followers AND u.id > asked.after_id))
    ORDER BY u.follower_count DESC, u.id
    LIMIT asked.page_size + 1
  ) hit
) page
ORDER BY asked.place`;

/** Nobody has searched yet: people look for the well-known by their first names. */
const RANK = `
SELECT split_part(lower(display_name), ' ', 1) AS query
FROM users
WHERE length(split_part(display_name, ' ', 1)) >= 2
GROUP BY 1
ORDER BY sum(follower_count) DESC, 1
LIMIT $1`;

/** Limit, the last user of the page before, query, in which Postgres takes any character but one. */
const KEY = /^(\d{1,3}):(?:(\d{1,10})-(\d{1,16}))?:([^\0]+)$/;
const FOLLOWERS_MAX = 2_147_483_647;

export const userSearch: Dataset<UserSearch> = {
  name: 'user-search',
  derivedFrom: ['users'],
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
      searches.map((search) => containsPattern(search.query)),
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
