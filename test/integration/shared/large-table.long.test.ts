/** A table of a million rows: no search and no ranking looks at more rows than it may, whatever is asked. Counted by EXPLAIN. */
import type pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { type UserSearch, userSearch } from '../../../shared/datasets/user-search.ts';
import { users } from '../../../shared/datasets/users.ts';
import type { Database } from '../../../shared/postgres/database.ts';
import { connectPg, isolatedServers } from '../../support/servers.ts';

const COPIES = 48;
const SAMPLE_USERS = 20_500;
/** The same names again and again, as large tables have them; followers fall with each copy. */
const MULTIPLY = `
INSERT INTO users (id, username, display_name, bio, follower_count)
SELECT u.id + copy * ${SAMPLE_USERS},
  CASE WHEN copy % 2 = 0 THEN u.username || '.' || copy ELSE 'user' || (u.id + copy * ${SAMPLE_USERS}) END,
  u.display_name, u.bio, u.follower_count / (copy + 1)
FROM users u, generate_series(1, ${COPIES}) AS copy`;

/** All that is walked or found at most, and the rows of the page; see the bounds of the statement. */
const ROWS_MAX = 2 * 2_000 + 3_000 + 2 * 40_000 + 51;

let client: pg.Client;

beforeAll(async () => {
  const servers = await isolatedServers();
  client = await connectPg(servers.databaseUrl);
});

type PlanNode = {
  readonly 'Node Type': string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly PlanNode[];
};

/** How many rows of the table were looked at. */
function rowsOf(node: PlanNode): number {
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
  const own = node['Relation Name'] === 'users' ? (node['Actual Rows'] + removed) * node['Actual Loops'] : 0;
  return (node.Plans ?? []).reduce((sum, child) => sum + rowsOf(child), own);
}

/** Runs what `ask` asks a database, and answers how many rows of `users` that took. */
async function explain(ask: (database: Database) => Promise<unknown>): Promise<number> {
  let rows = 0;
  const database = {
    async query(sql: string, values: unknown[]) {
      const { rows: answer } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, values);
      rows += rowsOf((answer[0] as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN'][0].Plan);
      return [];
    },
  };
  await ask(database as unknown as Database);
  return rows;
}

const searchFor = (query: string, more: Partial<UserSearch> = {}) =>
  explain((database) => userSearch.load(database, [{ query, limit: 20, after: null, ...more }]));

/** The same for both sizes; the larger one last, because it is made of the smaller one. */
function describeBounds(): void {
  it.each(['zzzz', 'user99999', 'zzzzzzzzzzzzzz'])(
    'hardly anybody has "%s": the index finds that',
    async (query) => {
      expect(await searchFor(query)).toBeLessThanOrEqual(2_000 + 100);
    },
  );

  it.each(['ann', 'user', 'lopez', 'maria g', 'an', 'zq', '--', '%', '100', 'a b', 'ünal', '9'])(
    'whatever "%s" finds, at the first page and after a cursor far behind',
    async (query) => {
      const { rows } = await client.query(
        'SELECT follower_count, id FROM users ORDER BY follower_count DESC, id OFFSET (SELECT count(*) * 9 / 10 FROM users) LIMIT 1',
      );
      const after = { followerCount: rows[0].follower_count, id: Number(rows[0].id) };
      expect(await searchFor(query, { limit: 50 })).toBeLessThanOrEqual(ROWS_MAX);
      expect(await searchFor(query, { limit: 50, after })).toBeLessThanOrEqual(ROWS_MAX);
    },
  );

  it('ranks of searches come from the most followed users', async () => {
    expect(await explain((database) => userSearch.rank(database, 200))).toBeLessThanOrEqual(2_000);
  });

  it('ranks of users come from an index', async () => {
    expect(await explain((database) => users.rank(database, 20_000))).toBeLessThanOrEqual(20_500);
  });
}

describe('a table of 20,500 rows', describeBounds);

describe('a table of a million rows', () => {
  beforeAll(async () => {
    await client.query('DROP INDEX users_by_search_text');
    await client.query(MULTIPLY);
    await client.query('CREATE INDEX users_by_search_text ON users USING gin (search_text gin_trgm_ops)');
    await client.query('VACUUM ANALYZE users');
  });

  describeBounds();
});
