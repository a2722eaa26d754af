/** One connection to a PostgreSQL, for one piece of work. */
import pg from 'pg';

const CONNECT_TIMEOUT_MS = 5_000;

/** Connecting, and each statement, takes so long at most. */
export async function withClient<T>(
  url: string,
  timeoutMs: number,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: Math.min(timeoutMs, CONNECT_TIMEOUT_MS),
    query_timeout: timeoutMs,
  });
  client.on('error', () => {}); // a query that is cut off rejects as well
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
