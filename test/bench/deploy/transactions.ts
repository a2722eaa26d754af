/** What PostgreSQL itself counted: to check the counts of those who are counted. */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { administer } from '../../support/test-servers.ts';

/** A process of PostgreSQL tells what it did when its connection has ended. */
const END_TIMEOUT_MS = 5_000;
const LOOK_AGAIN_MS = 50;

/** PostgreSQL begins each connection with one of its own. */
const COUNTED = `
SELECT xact_commit + xact_rollback - sessions AS transactions
FROM pg_stat_database WHERE datname = $1`;
const CONNECTED = 'SELECT count(*)::int AS connections FROM pg_stat_activity WHERE datname = $1';

/** Of all who were connected to `database`. Throws when somebody still is. */
export async function countTransactions(adminUrl: string, database: string): Promise<number> {
  let transactions = Number.NaN;
  await administer(adminUrl, async (client) => {
    await waitUntilAlone(client, database);
    const { rows } = await client.query<{ transactions: string }>(COUNTED, [database]);
    transactions = Number(rows[0]?.transactions);
  });
  return transactions;
}

async function waitUntilAlone(client: pg.Client, database: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < END_TIMEOUT_MS; waitedMs += LOOK_AGAIN_MS) {
    const { rows } = await client.query<{ connections: number }>(CONNECTED, [database]);
    if (rows[0]?.connections === 0) return;
    await sleep(LOOK_AGAIN_MS);
  }
  throw new Error(`The connections to ${database} have not ended within ${END_TIMEOUT_MS} ms.`);
}
