/** Users as the bare driver loads them: the statement of Prewarm's dataset, over a pool with the settings of Prewarm's; under its name or without. */
import pg from 'pg';
import { users } from '../../../shared/datasets/users.ts';
import { STATEMENT_TIMEOUT_MS } from '../../../shared/limits.ts';
import { Database, type Statement } from '../../../shared/postgres/database.ts';

class BareDatabase extends Database {
  readonly #pool: pg.Pool;
  readonly #isNamed: boolean;

  constructor(databaseUrl: string, isNamed: boolean) {
    super(databaseUrl);
    this.#isNamed = isNamed;
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
    statement: Statement,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    const named = typeof statement === 'string' ? { text: statement } : statement;
    const sent = this.#isNamed ? named : { text: named.text };
    return (await this.#pool.query<Row>({ ...sent, values: values as unknown[] })).rows;
  }
}

/** Answers what loads the JSON text of a user. */
export function openBareUsers(databaseUrl: string, isNamed = false): (id: string) => Promise<string> {
  const database = new BareDatabase(databaseUrl, isNamed);
  return async (id) => {
    const { values } = await users.load(database, [Number(id)]);
    return values[0] ?? 'null';
  };
}
