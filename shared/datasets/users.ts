/** Users by id. */
import { LOAD_BEGAN_US, prepared } from '../postgres/database.ts';
import type { Dataset } from './dataset.ts';

const MINUTE_MS = 60_000;

/**
 * A row of `users`, under the alias `u`, as the JSON that the API answers, without white space. Changes of it raise
 * `schemaVersion` below.
 */
export const USER_JSON = `(SELECT row_to_json(answer) FROM (SELECT
  u.id,
  u.username,
  u.display_name AS "displayName",
  u.bio,
  u.avatar_url AS "avatarUrl",
  u.location,
  u.follower_count AS "followerCount",
  to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "createdAt",
  to_char(u.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "updatedAt"
) answer)`;

/**
 * The left join gives a row for each id, in the order asked, also for those that do not exist. The inner SELECT hides from
 * the planner how many ids there are: else it would take each number for a reason to plan anew.
 */
const LOAD = prepared(
  'load users',
  `
SELECT ${LOAD_BEGAN_US} AS read_at_us, CASE WHEN u.id IS NOT NULL THEN ${USER_JSON}::text END AS json
FROM unnest((SELECT $1::bigint[])) WITH ORDINALITY AS asked (id, place)
LEFT JOIN users u ON u.id = asked.id
ORDER BY asked.place`,
);

/** The highest id that the API takes: a number of JavaScript's holds no higher one exactly. */
export const ID_MAX = Number.MAX_SAFE_INTEGER;
/** What a caller is told who sends something else. */
export const EXPECTED_USER_ID = `an integer from 1 to ${ID_MAX}`;

const RANK = `
SELECT id FROM users WHERE id BETWEEN 1 AND ${ID_MAX} ORDER BY follower_count DESC, id LIMIT $1`;

export const users: Dataset<number> = {
  name: 'users',
  schemaVersion: 1,
  warmStep: 'top-users',
  // What one run has time for, on slow servers too, without keeping a deployment's run waiting.
  warmIdsMax: 200_000,
  warmBatchSize: 250,
  memoryEntriesMax: 900,
  timing: {
    // Longer than the schedule's interval: a hot user that a read had to load is there until a warm-up loads it.
    freshMs: 40 * MINUTE_MS,
    // Two intervals of the schedule, and the jitter of a tenth, and a late start.
    warmFreshMs: 75 * MINUTE_MS,
    graceMs: 60 * MINUTE_MS,
    absentMs: 30_000,
    memoryMs: 60_000,
  },
  key: String,

  idOf(key) {
    const id = Number(key);
    return Number.isSafeInteger(id) && id > 0 ? id : undefined;
  },

  async load(database, ids) {
    const rows = await database.query<{ read_at_us: string; json: string | null }>(LOAD, [ids]);
    return { readAtUs: Number(rows[0]?.read_at_us), values: rows.map((row) => row.json) };
  },

  async rank(database, limit) {
    const rows = await database.query<{ id: string }>(RANK, [limit]);
    return rows.map((row) => Number(row.id));
  },
};
