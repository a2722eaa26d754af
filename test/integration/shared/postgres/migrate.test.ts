/** Migrations on a real PostgreSQL: once, all or none of them, and never changed afterwards. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { MigrationError, MigrationsBusyError, OperationTimeoutError } from '../../../../shared/errors.ts';
import { migrate } from '../../../../shared/postgres/migrate.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { openSlowProxy } from '../../../support/slow-proxy.ts';

/** What Postgres has for all files, what its answer may take after that, and its goodbye: together less than the function has. */
const [BUDGET_MS, REPLY_TIMEOUT_MS, DISCONNECT_TIMEOUT_MS] = [240_000, 5_000, 1_000];

/** AuthenticationOk and ReadyForQuery, as a server sends them. */
const SIGNED_IN = Buffer.from('R\0\0\0\b\0\0\0\0Z\0\0\0\x05I');
const TERMINATE = 'X'.charCodeAt(0);
const SLEEP = 'SELECT pg_sleep(60);';
const SLEEPERS = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event = 'PgSleep' AND state = 'active'`;
const SETTINGS =
  "SELECT current_setting('search_path') AS path, current_setting('work_mem') AS mem, current_user AS who";

let servers: IsolatedServers;
let folder: string;
let migrationsDir: URL;

beforeEach(async () => {
  servers = await isolatedServers({ seeded: false });
  await query('DROP TABLE prewarm_migrations');
  folder = await mkdtemp(join(tmpdir(), 'prewarm-migrations-'));
  migrationsDir = pathToFileURL(`${folder}/`);
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(folder, { recursive: true });
});

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: servers.databaseUrl });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** While a transaction that has read `table` is open. */
async function withReader(table: string, work: () => Promise<void>): Promise<void> {
  const reader = new pg.Client({ connectionString: servers.databaseUrl });
  await reader.connect();
  try {
    await reader.query(`BEGIN; SELECT FROM ${table}`);
    await work();
  } finally {
    await reader.end();
  }
}

/** Which of the tables there are. */
async function existing(...tables: string[]): Promise<string[]> {
  const found = await Promise.all(tables.map((table) => query(`SELECT to_regclass('${table}') AS name`)));
  return (found.flat() as { name: string | null }[]).flatMap(({ name }) => name ?? []);
}

/** A proxy's connection, prepared by `initQuery`, which outlives the client that it is lent to; `send` is the next one's statement. */
async function openKeptConnection(initQuery: string) {
  const socket = new Socket();
  const driver = new pg.Client({ connectionString: servers.databaseUrl, stream: () => socket });
  driver.on('error', () => {}); // the end of the test's database cuts it
  await driver.connect();
  await driver.query(initQuery);
  socket.removeAllListeners('data');
  const server = createServer((client) => {
    client.once('data', () => {
      client.write(SIGNED_IN);
      socket.on('data', (data) => client.write(data));
      client.on('data', (data) => void (data[0] === TERMINATE ? client.end() : socket.write(data)));
    });
    client.on('close', () => socket.removeAllListeners('data'));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.close();
    socket.destroy();
  });
  const url = new URL(servers.databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  const send = async (sql: string) => {
    const answered = once(socket, 'data');
    driver.connection.query(sql);
    await answered;
  };
  return { url: url.href, send };
}

/** By which the budget is counted, so that a busy machine uses nothing of it up. Postgres' own clock goes on. */
const stopClock = () => vi.useFakeTimers({ toFake: ['Date', 'performance'] });

const file = (name: string, sql: string) => writeFile(join(folder, name), sql);

describe('migrate', () => {
  it('applies the files in the order of their names, each once', async () => {
    await file('0002_b.sql', 'INSERT INTO a VALUES (1);');
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    expect(await migrate(servers.databaseUrl, { migrationsDir })).toEqual({
      applied: ['0001_a.sql', '0002_b.sql'],
    });
    expect(await migrate(servers.databaseUrl, { migrationsDir })).toEqual({ applied: [] });
    expect(await query('SELECT x FROM a')).toHaveLength(1);
  });

  it('leaves nothing of any file when one fails, and says which', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'CREATE TABLE b (x int); SELECT 1/0;');
    await file('0003_c.sql', 'CREATE TABLE c (x int);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0002_b.sql',
      message: expect.stringContaining('division by zero'),
    });
    expect(await existing('a', 'b', 'c', 'prewarm_migrations')).toEqual([]);
  });

  it('leaves what earlier deployments applied when a file of this one fails', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await migrate(servers.databaseUrl, { migrationsDir });
    await file('0002_b.sql', 'CREATE TABLE b (x int);');
    await file('0003_c.sql', 'SELECT 1/0;');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toThrow('0003_c.sql');
    expect(await existing('a', 'b')).toEqual(['a']);
    expect(await query('SELECT name FROM prewarm_migrations')).toEqual([{ name: '0001_a.sql' }]);
  });

  it('applies all files after the one that failed was repaired', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'INSERT INTO a VALUES (1/0);');
    await file('0003_c.sql', 'INSERT INTO a VALUES (3);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toThrow('0002_b.sql');
    await file('0002_b.sql', 'INSERT INTO a VALUES (2);');
    expect(await migrate(servers.databaseUrl, { migrationsDir })).toEqual({
      applied: ['0001_a.sql', '0002_b.sql', '0003_c.sql'],
    });
    expect(await query('SELECT x FROM a ORDER BY x')).toEqual([{ x: 2 }, { x: 3 }]);
  });

  it.each([
    [
      'a statement that no transaction may hold',
      'CREATE INDEX CONCURRENTLY i ON a (x);',
      /transaction block/,
    ],
    ['a COMMIT', 'CREATE TABLE b (x int); COMMIT;', /transaction commands/],
    ['a COMMIT and a BEGIN', 'CREATE TABLE b (x int); COMMIT; BEGIN;', /transaction commands/],
    ['a ROLLBACK', 'ROLLBACK;', /transaction commands/],
  ])('fails at a file with %s, and leaves nothing of any', async (_, sql, message) => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', sql);
    await file('0003_c.sql', 'CREATE TABLE c (x int);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0002_b.sql',
      message: expect.stringMatching(message),
    });
    expect(await existing('a', 'b', 'c', 'prewarm_migrations')).toEqual([]);
  });

  it('has Postgres stop a file of which no statement takes long, but all of them do, and nothing goes on there', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'SELECT pg_sleep(0.4);'.repeat(10));
    stopClock();
    await expect(migrate(servers.databaseUrl, { migrationsDir, budgetMs: 1_000 })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0002_b.sql',
      cause: { code: '57014' },
    });
    expect(await existing('a')).toEqual([]);
    const others =
      'SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()';
    expect(await query(`${others} AND state <> 'idle'`)).toEqual([]);
  });

  it('gives up when Postgres has fallen silent', async () => {
    await file('0001_a.sql', SLEEP);
    const road = await openSlowProxy(servers.databaseUrl);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const gaveUp = vi.fn();
    migrate(road.url, { migrationsDir, budgetMs: BUDGET_MS }).catch(gaveUp);
    while ((await query(SLEEPERS)).length === 0) await delay(20); // a poll of vitest's would move the clock
    road.loseConnections();
    await vi.advanceTimersByTimeAsync(BUDGET_MS + REPLY_TIMEOUT_MS - 1);
    expect(gaveUp).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1 + DISCONNECT_TIMEOUT_MS);
    expect(gaveUp).toHaveBeenCalledExactlyOnceWith(expect.any(OperationTimeoutError));
  });

  it('says so when another deployment does not end', async () => {
    await file('0001_a.sql', SLEEP);
    const cut = expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toThrow();
    await expect.poll(() => query(SLEEPERS)).toHaveLength(1);
    stopClock();
    await expect(migrate(servers.databaseUrl, { migrationsDir, budgetMs: 2_000 })).rejects.toMatchObject({
      constructor: MigrationsBusyError,
      message: 'Another deployment has been migrating for 0.5 s; deploy again when it is done.',
      cause: { code: '55P03' },
    });
    await query(`SELECT pg_terminate_backend(pid) FROM (${SLEEPERS}) AS sleepers`);
    await cut;
  });

  it('runs functions and quotes as they are written, and a file of comments', async () => {
    await file(
      '0001_a.sql',
      `CREATE TABLE a (x text);
       CREATE FUNCTION shout(word text) RETURNS text LANGUAGE plpgsql AS $body$ BEGIN RETURN upper(word) || '!'; END $body$;
       INSERT INTO a VALUES (shout('it''s \\ $$ here')); -- no line's end, isn't it`,
    );
    await file('0002_b.sql', '-- nothing but a comment');
    expect((await migrate(servers.databaseUrl, { migrationsDir })).applied).toHaveLength(2);
    expect(await query('SELECT x FROM a')).toEqual([{ x: "IT'S \\ $$ HERE!" }]);
  });

  it("ends a file's role and settings with the file, and leaves the connection as it was", async () => {
    await file(
      '0001_a.sql',
      `CREATE TABLE public.a (x text); SELECT set_config('search_path', '', false); SET LOCAL work_mem = '9MB';
       SET statement_timeout = 0; SET ROLE pg_monitor;`,
    );
    await file(
      '0002_b.sql',
      "INSERT INTO a VALUES (current_setting('search_path')), (current_setting('work_mem')), (current_user);",
    );
    const [before] = (await query(SETTINGS)) as [object];
    const connection = await openKeptConnection("SET statement_timeout = '7s'");
    expect((await migrate(connection.url, { migrationsDir })).applied).toHaveLength(2);
    expect(await query('SELECT x FROM a')).toEqual(Object.values(before).map((x) => ({ x })));
    await connection.send(
      `CREATE TABLE left_behind AS ${SETTINGS}, current_setting('statement_timeout') AS timeout`,
    );
    expect(await query('SELECT * FROM left_behind')).toEqual([{ ...before, timeout: '7s' }]);
  });

  it('names the file after which nothing can be recorded', async () => {
    await file('0001_a.sql', 'DROP TABLE prewarm_migrations;');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
      constructor: MigrationError,
      migration: '0001_a.sql',
    });
  });

  it('has each file wait three seconds for a table at most, whatever an earlier one has set', async () => {
    await file('0001_a.sql', 'SET lock_timeout = 0;');
    await file('0002_b.sql', "CREATE TABLE a AS SELECT current_setting('lock_timeout') AS timeout;");
    await migrate(servers.databaseUrl, { migrationsDir });
    expect(await query('SELECT timeout FROM a')).toEqual([{ timeout: '3s' }]);
  });

  it('leaves nothing when a table that a file alters stays in use', async () => {
    await query('CREATE TABLE busy (x int)');
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await file('0002_b.sql', 'SET lock_timeout = 50; ALTER TABLE busy ADD y int;');
    await withReader('busy', () =>
      expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toMatchObject({
        constructor: MigrationError,
        migration: '0002_b.sql',
        cause: { code: '55P03' },
      }),
    );
    expect(await existing('a')).toEqual([]);
  });

  it('fails, and does not end the process, when its connection is cut', async () => {
    await file('0001_a.sql', SLEEP);
    const failure = expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toBeInstanceOf(
      MigrationError,
    );
    const cut = `SELECT pg_terminate_backend(pid) FROM (${SLEEPERS}) AS sleepers`;
    await expect.poll(() => query(cut)).toHaveLength(1);
    await failure;
  });

  it('refuses a file that was changed after it was applied', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int);');
    await migrate(servers.databaseUrl, { migrationsDir });
    await file('0001_a.sql', 'CREATE TABLE a (x bigint);');
    await expect(migrate(servers.databaseUrl, { migrationsDir })).rejects.toThrow('has changed since');
  });

  it('applies each file once when two deployments migrate at once', async () => {
    await file('0001_a.sql', 'CREATE TABLE a (x int); SELECT pg_sleep(0.1);');
    const both = await Promise.all([1, 2].map(() => migrate(servers.databaseUrl, { migrationsDir })));
    expect(both.map(({ applied }) => applied.length).sort()).toEqual([0, 1]);
  });
});
