/** Users as the bare driver loads them: the statement of Prewarm's dataset, over a pool with the settings of Prewarm's. */
import pg from 'pg';
import { users } from '../../../shared/datasets/users.ts';
import { STATEMENT_TIMEOUT_MS } from '../../../shared/limits.ts';
import { Database } from '../../../shared/postgres/database.ts';

class BareDatabase extends Database {
  readonly #pool: pg.Pool;

  constructor(databaseUrl: string) {
    super(databaseUrl);
    this.#pool = new pg.Pool({
      connectionString: databaseUrl,
      max: 2,
      connectionTimeoutMillis: 1_000,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: STATEMENT_TIMEOUT_MS + 100,
      idleTimeoutMillis: 0,
      allowExitOnIdle: true,
      keepAlive: true,
    });
  }

  override async query<Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    return (await this.#pool.query<Row>(text, values as unknown[])).rows;
  }
}

/** Answers what loads the JSON text of a user. */
export function openBareUsers(databaseUrl: string): (id: string) => Promise<string> {
  const database = new BareDatabase(databaseUrl);
  return async (id) => {
    const { values } = await users.load(database, [Number(id)]);
    return values[0] ?? 'null';
  };
}
