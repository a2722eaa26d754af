/** The way to a real PostgreSQL: lost connections, limits, and failures told apart. */
import pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { users } from '../../../../shared/datasets/users.ts';
import { DatabaseUnavailableError, StandbyError, StatementTimeoutError } from '../../../../shared/errors.ts';
import { Database, LOAD_BEGAN_US, prepared } from '../../../../shared/postgres/database.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { startStandby } from '../../../support/own-processes.ts';
import { connectPg, type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { openSlowProxy } from '../../../support/slow-proxy.ts';
import { letPass, stopClock } from '../../../support/virtual-clock.ts';

/** Bounds against hanging: the machine may be busy. */
const PATIENT = { statementTimeoutMs: 60_000, connectTimeoutMs: 60_000 };
const SLEEPERS = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event = 'PgSleep' AND state = 'active'`;

let servers: IsolatedServers;
let database: Database;

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
});
beforeEach(() => {
  database = closedAtEnd(new Database(servers.databaseUrl, PATIENT));
});

describe('a database', () => {
  it('answers although the server closed its idle connections', async () => {
    const [before] = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const admin = await connectPg(servers.databaseUrl);
    await admin.query('SELECT pg_terminate_backend($1)', [before?.pid]);
    const [after] = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    expect(after?.pid).not.toBe(before?.pid);
  });

  it('stops a statement that takes too long, and is usable after it', async () => {
    const limited = closedAtEnd(new Database(servers.databaseUrl, { ...PATIENT, statementTimeoutMs: 100 }));
    await expect(limited.query('SELECT pg_sleep(60)')).rejects.toBeInstanceOf(StatementTimeoutError);
    await expect.poll(() => database.query(SLEEPERS)).toEqual([]);
    await expect.poll(() => limited.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('does not call a wrong query unavailable', async () => {
    await expect(database.query('SELECT no_such_column')).rejects.toMatchObject({ code: '42703' });
  });

  it('is unavailable when nobody listens', async () => {
    const nobody = closedAtEnd(new Database('postgres://user:secret@127.0.0.1:1/none'));
    await expect(nobody.query('SELECT 1')).rejects.toBeInstanceOf(DatabaseUnavailableError);
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

describe('a prepared statement', () => {
  const DOUBLE = prepared('double', 'SELECT $1::int * 2 AS doubled');
  const NAMES = 'SELECT name, statement AS text FROM pg_prepared_statements';
  let single: Database;
  const double = async (value: number) =>
    (await single.query<{ doubled: number }>(DOUBLE, [value]))[0]?.doubled;
  /** What another client of a pooler left on the connection that we are lent. */
  const leave = (text: string) => single.query(`PREPARE "${DOUBLE.name}" AS ${text}`);

  beforeEach(() => {
    single = closedAtEnd(new Database(servers.databaseUrl, { ...PATIENT, connectionsMax: 1 }));
  });

  it('is parsed once a connection', async () => {
    expect([await double(1), await double(2), await double(3)]).toEqual([2, 4, 6]);
    expect(await single.query(NAMES)).toEqual([DOUBLE]);
  });

  it('is answered although the server does not know its name, and goes without one from then on', async () => {
    await double(1);
    await single.query('DEALLOCATE ALL');
    expect([await double(2), await double(3)]).toEqual([4, 6]);
    expect(await single.query(NAMES)).toEqual([]);
  });

  it('is answered although the server knows its name already, and goes without one from then on', async () => {
    await leave('SELECT 1');
    expect([await double(2), await double(3)]).toEqual([4, 6]);
    expect(await single.query(NAMES)).toEqual([]);
  });

  it('has a name that no other text has', async () => {
    const treble = prepared('double', 'SELECT $1::int * 3 AS doubled');
    expect(await double(2)).toBe(4);
    expect(await single.query(treble, [2])).toEqual([{ doubled: 6 }]);
  });

  it('is answered although the columns of its plan were changed', async () => {
    await single.query('CREATE TABLE things (one int)');
    const all = prepared('all things', 'SELECT * FROM things');
    await single.query(all);
    await single.query('ALTER TABLE things ADD COLUMN two int');
    await single.query('INSERT INTO things VALUES (1, 2)');
    expect(await single.query(all)).toEqual([{ one: 1, two: 2 }]);
  });

  it('is repeated without its name when its connection was cut', async () => {
    const road = await openSlowProxy(servers.databaseUrl);
    const distant = closedAtEnd(new Database(road.url, { ...PATIENT, connectionsMax: 1 }));
    await distant.query(DOUBLE, [1]);
    await road.refuse();
    await road.recover();
    expect(await distant.query(DOUBLE, [2])).toEqual([{ doubled: 4 }]);
    expect(await distant.query(NAMES)).toEqual([]);
    expect(await distant.query(DOUBLE, [3])).toEqual([{ doubled: 6 }]);
    expect(await distant.query(NAMES)).toEqual([DOUBLE]);
  });
});

it('users are loaded by one plan, however many they are', async () => {
  const single = closedAtEnd(new Database(servers.databaseUrl, { ...PATIENT, connectionsMax: 1 }));
  for (const count of [1, 1, 1, 1, 1, 1, 1, 50, 250])
    await users.load(
      single,
      Array.from({ length: count }, (_, index) => index + 1),
    );
  const PLANS = 'SELECT generic_plans::int AS kept, custom_plans::int AS made FROM pg_prepared_statements';
  // Postgres makes five before it keeps one.
  expect(await single.query(PLANS)).toEqual([{ kept: 4, made: 5 }]);
});

it('a connection that is cut under a query fails that, and nothing else', async () => {
  const road = await openSlowProxy(servers.databaseUrl);
  const distant = closedAtEnd(new Database(road.url, PATIENT));
  await distant.connect(1);
  const reached = road.hangAt('pg_sleep');
  const cut = distant.query('SELECT pg_sleep(0)');
  await reached;
  await road.refuse();
  // It is tried once more, where nobody listens now. An error that nobody handles would fail the run.
  await expect(cut).rejects.toBeInstanceOf(DatabaseUnavailableError);
  await road.recover();
  expect(await distant.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

describe('connections that lead nowhere without a word', () => {
  /** Two, both used, before the road forgets them; and the questions by which connections prove themselves. */
  async function openTwo() {
    const road = await openSlowProxy(servers.databaseUrl);
    const distant = closedAtEnd(new Database(road.url, PATIENT));
    await Promise.all([distant.query('SELECT pg_sleep(0.05)'), distant.query('SELECT pg_sleep(0.05)')]);
    const query = vi.spyOn(pg.Client.prototype, 'query');
    onTestFinished(() => query.mockRestore());
    const proofs = () =>
      query.mock.calls.filter(([asked]) => (asked as unknown as pg.QueryConfig).text === 'SELECT 1').length;
    return { road, distant, proofs };
  }

  afterEach(() => void vi.useRealTimers());

  it('are found out by one short question after a freeze, and a read is answered by a new one', async () => {
    stopClock();
    const { road, distant, proofs } = await openTwo();
    road.loseConnections();
    await letPass(6_000);
    const reads = [distant.query('SELECT 1 AS one'), distant.query('SELECT 2 AS two')];
    expect(await Promise.all(reads)).toEqual([[{ one: 1 }], [{ two: 2 }]]);
    // Two at once each ask theirs; whoever comes later knows.
    expect(proofs()).toBeLessThanOrEqual(2);
  });

  it('are closed unasked once one of them was found out', async () => {
    stopClock();
    const { road, distant, proofs } = await openTwo();
    road.loseConnections();
    await letPass(6_000);
    expect(await distant.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await distant.query('SELECT 2 AS two')).toEqual([{ two: 2 }]);
    expect(proofs()).toBe(1);
  });

  it('are asked nothing while they are in use', async () => {
    stopClock();
    const { distant, proofs } = await openTwo();
    for (let reads = 0; reads < 5; reads++) {
      await letPass(1_000);
      await distant.query('SELECT 1 AS one');
    }
    expect(proofs()).toBe(0);
  });
});

it('a standby is refused, in words that say what to do', async () => {
  const standby = closedAtEnd(new Database(await startStandby(), PATIENT));
  const refused = standby.query('SELECT 1');
  await expect(refused).rejects.toBeInstanceOf(StandbyError);
  await expect(refused).rejects.toThrow('it must name the primary');
  await expect(standby.connect()).rejects.toBeInstanceOf(StandbyError);
});

it('a standby that a pooler leads to is told by what it answers', async () => {
  const client = await connectPg(await startStandby());
  const { rows } = await client.query(`SELECT ${LOAD_BEGAN_US} AS read_at_us`);
  expect(Number(rows[0].read_at_us)).toBe(StandbyError.READ_AT_US);
});
