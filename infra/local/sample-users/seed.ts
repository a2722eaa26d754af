/** Fills an empty users table with the sample users, in one transaction. */
import type pg from 'pg';
import { withClient } from '../servers/postgres-client.ts';
import { makeUsers, SEED_USERS } from './seed-users.ts';

const BATCH_ROWS = 2_500;
/** Of one statement, also when it waits for another start that seeds. */
const TIMEOUT_MS = 60_000;
/** Of any two starts on one database, one seeds and the other one waits and then finds the table filled. */
const ADVISORY_LOCK = 205_002;

const INSERT = `
  INSERT INTO users (id, username, display_name, bio, avatar_url, location, follower_count, created_at, updated_at)
  SELECT id, username, "displayName", bio, "avatarUrl", location, "followerCount", "createdAt", "updatedAt"
  FROM json_to_recordset($1) AS made (id bigint, username text, "displayName" text, bio text, "avatarUrl" text,
    location text, "followerCount" integer, "createdAt" timestamptz, "updatedAt" timestamptz)`;

/** Resolves to the number of users inserted: 0 when the table already holds any. */
export function seed(databaseUrl: string, count = SEED_USERS): Promise<number> {
  return withClient(databaseUrl, TIMEOUT_MS, async (client) => {
    if (!(await isEmpty(client))) return 0;
    const inserted = await insertAll(client, count);
    // Until statistics are there, the planner would not use the search index.
    if (inserted > 0) await client.query('ANALYZE users');
    return inserted;
  });
}

async function insertAll(client: pg.Client, count: number): Promise<number> {
  await client.query('BEGIN');
  await client.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK]);
  const users = (await isEmpty(client)) ? makeUsers(count) : [];
  for (let from = 0; from < users.length; from += BATCH_ROWS)
    await client.query(INSERT, [JSON.stringify(users.slice(from, from + BATCH_ROWS))]);
  await client.query('COMMIT'); // a failure before this ends the connection, and with it the transaction
  return users.length;
}

async function isEmpty(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query('SELECT 1 FROM users LIMIT 1');
  return rowCount === 0;
}
