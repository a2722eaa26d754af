/** The way to a real PostgreSQL: lost connections, limits, and failures told apart. */
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { DatabaseUnavailableError } from '../../../../shared/errors.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';

/** Bounds against hanging: the machine may be busy. */
const PATIENT = { statementTimeoutMs: 60_000, connectTimeoutMs: 60_000 };
const SLEEPERS = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event = 'PgSleep' AND state = 'active'`;

let servers: IsolatedServers;
let database: Database;

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
});
afterAll(() => servers.dispose());
beforeEach(() => {
  database = new Database(servers.databaseUrl, PATIENT);
});
afterEach(() => database.close());

describe('a database', () => {
  it('answers although the server closed its idle connections', async () => {
    const [before] = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const admin = new pg.Client({ connectionString: servers.databaseUrl });
    await admin.connect();
    await admin.query('SELECT pg_terminate_backend($1)', [before?.pid]);
    await admin.end();
    const [after] = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    expect(after?.pid).not.toBe(before?.pid);
  });

  it('stops a statement that takes too long, and is usable after it', async () => {
    const limited = new Database(servers.databaseUrl, { ...PATIENT, statementTimeoutMs: 100 });
    onTestFinished(() => limited.close());
    await expect(limited.query('SELECT pg_sleep(60)')).rejects.toBeInstanceOf(DatabaseUnavailableError);
    await expect.poll(() => database.query(SLEEPERS)).toEqual([]);
    await expect.poll(() => limited.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('does not call a wrong query unavailable', async () => {
    await expect(database.query('SELECT no_such_column')).rejects.toMatchObject({ code: '42703' });
  });

  it('is unavailable when nobody listens', async () => {
    const nobody = new Database('postgres://user:secret@127.0.0.1:1/none');
    await expect(nobody.query('SELECT 1')).rejects.toBeInstanceOf(DatabaseUnavailableError);
    await nobody.close();
  });

  it('opens all its connections before the first query', async () => {
    await database.connect();
    const countOpen = async () => {
      const sql = 'SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()';
      return (await database.query<{ count: number }>(sql))[0]?.count;
    };
    // Those of the tests before this one may still be ending.
    await expect.poll(countOpen).toBe(2);
  });
});
