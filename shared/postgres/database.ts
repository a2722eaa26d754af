/** The way to Postgres: a small pool in which every wait has a deadline, and outages are distinguished from wrong queries. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { hasPassed } from '../clock.ts';
import { environment } from '../environment.ts';
import {
  DatabaseUnavailableError,
  EnvironmentError,
  StandbyError,
  StatementTimeoutError,
} from '../errors.ts';
import { STATEMENT_TIMEOUT_MS } from '../limits.ts';
import { log } from '../logger.ts';
import { within } from '../within.ts';

export type DatabaseOptions = {
  /** Connections of this container. A container serves one request at a time: two are enough for its parallel reads. */
  connectionsMax: number;
  /**
   * How long Postgres works on one statement; the client gives up 100 ms later, so the server always stops first. Behind
   * an RDS Proxy only the client knows this limit, and the proxy's initialisation query sets the server's.
   */
  statementTimeoutMs: number;
  /** How long a query waits for a connection, a new one or a free one. */
  connectTimeoutMs: number;
  /** An RDS Proxy refuses connections that bring session settings, and takes IAM tokens for passwords. @default false */
  isRdsProxy: boolean;
};

const DATABASE_DEFAULTS: DatabaseOptions = {
  connectionsMax: 2,
  statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  connectTimeoutMs: 1_000,
  isRdsProxy: false,
};

/**
 * The connection was lost or cut, which says nothing about the query: a Lambda that was frozen finds its connections
 * closed by the server (57P01) or by the network.
 */
const CONNECTION_LOST = new Set(['57P01', '57P02', '57P03', '08003', '08006', 'ECONNRESET', 'EPIPE']);
/** The database is there but cannot take this now: too many connections, shutting down, out of memory, timed out. */
const CANNOT_NOW = new Set(['53000', '53100', '53200', '53300', '57014', '55P03', '40001', '40P01']);

/**
 * A connection that was used so lately is there. What was idle for longer, while its container was frozen as a rule, may
 * be dead without a sign: it must answer the smallest of questions first, and soon.
 */
const TRUSTED_MS = 5_000;
const PROOF_TIMEOUT_MS = 300;
/** What is well answers within a few milliseconds, also beside a load. */
const WELL_WITHIN_MS = 300;

/** Kept by Postgres under its name, for as long as a connection lives. */
type Prepared = { readonly name: string; readonly text: string };
export type Statement = string | Prepared;

/**
 * A statement that Postgres keeps under a name, with its plan: half of the time of a load by key. For statements whose best
 * plan does not hang on their values. The name is that of the text alone, because a pooler may lend a connection on which
 * another version has left its own under the same name.
 */
export function prepared(name: string, text: string): Prepared {
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { name: `${name} ${digest}`, text };
}

/**
 * What the server says of a name that it does not know, or knows already: between it and us is a pooler that lends its
 * connections by the transaction and does not keep names. Or the plan's columns were changed.
 */
const NAME_REFUSED = new Set(['26000', '42P05', '0A000']);

/** Errors of our own making, for which no second try helps. */
const MISTAKES = [TypeError, RangeError, EnvironmentError];

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? '';
}

function isConnectionLost(error: unknown): boolean {
  // pg gives no code to a socket that closes under a query.
  return (
    CONNECTION_LOST.has(codeOf(error)) ||
    (error instanceof Error && error.message === 'Connection terminated unexpectedly')
  );
}

/** Whether a time limit ended it: the server's, or, when that does not answer, the client's, whose error has no code. */
function isTimeout(error: unknown): boolean {
  return codeOf(error) === '57014' || (error instanceof Error && error.message === 'Query read timeout');
}

/** Whether the server answered it, judged by its form: the driver, which has the class, is loaded only when it is needed. */
function isReplyOfServer(error: unknown): boolean {
  return error instanceof Error && 'severity' in error && /^[0-9A-Z]{5}$/.test(codeOf(error));
}

function isUnavailable(error: unknown): boolean {
  if (isConnectionLost(error) || CANNOT_NOW.has(codeOf(error))) return true;
  if (/^(08|28|3D)/.test(codeOf(error))) return true;
  // What is neither an answer of the server nor a mistake of ours comes from the way to it: refused, not found, too late.
  return !(isReplyOfServer(error) || MISTAKES.some((mistake) => error instanceof mistake));
}

/** Reads from Postgres, as a rule. Throws `DatabaseUnavailableError` for what may be over in a moment, and pg's own error for a wrong query. */
export class Database {
  readonly #databaseUrl: string;
  readonly #isRdsProxy: boolean;
  readonly #config: pg.PoolConfig & { readonly max: number };
  #pool: Promise<pg.Pool> | undefined;
  /** When each connection was last used, by the wall clock, which runs while a container is frozen. */
  readonly #usedAtMs = new WeakMap<pg.ClientBase, number>();
  /** Whether statements are sent with their names, which they are until one is refused. */
  #usesNames = true;
  /** A connection was dead then: those that have been idle since before it are as well. */
  #foundDeadAtMs = 0;

  constructor(databaseUrl: string, options: Partial<DatabaseOptions> = {}) {
    const { connectionsMax, statementTimeoutMs, connectTimeoutMs, isRdsProxy } = {
      ...DATABASE_DEFAULTS,
      ...options,
    };
    this.#databaseUrl = databaseUrl;
    this.#isRdsProxy = isRdsProxy;
    this.#config = {
      max: connectionsMax,
      connectionTimeoutMillis: connectTimeoutMs,
      ...(!isRdsProxy && { statement_timeout: statementTimeoutMs }),
      query_timeout: statementTimeoutMs + 100,
      idleTimeoutMillis: 0,
      allowExitOnIdle: true,
      keepAlive: true,
    };
  }

  /**
   * Runs one statement that may be repeated, as a read may: it is, once, when the connection turns out to be dead, or its
   * name is refused.
   */
  async query<Row extends pg.QueryResultRow>(
    statement: Statement,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    const { text, name } = typeof statement === 'string' ? { text: statement, name: undefined } : statement;
    try {
      return await this.#run<Row>(text, values, this.#usesNames ? name : undefined);
    } catch (error) {
      if (name !== undefined && NAME_REFUSED.has(codeOf(error))) this.#giveUpNames(error);
      else if (!isConnectionLost(error)) throw asUnavailable(error);
    }
    try {
      // Without its name: another connection may refuse that.
      return await this.#run<Row>(text, values);
    } catch (error) {
      throw asUnavailable(error);
    }
  }

  #giveUpNames(error: unknown): void {
    this.#usesNames = false;
    log.warn('postgres.names_refused', 'Postgres does not keep prepared statements; going on without them.', {
      error,
    });
  }

  /** Opens connections, by default all that the pool may have, so that the first queries need no connect. */
  async connect(connections = this.#config.max): Promise<void> {
    const pool = await this.#open();
    const opened = await Promise.allSettled(Array.from({ length: connections }, () => pool.connect()));
    let failure: unknown;
    for (const result of opened) {
      if (result.status === 'fulfilled') result.value.release();
      else failure = result.reason;
    }
    if (failure !== undefined) throw asUnavailable(failure);
  }

  /** The database's clock, in microseconds: what orders reads and invalidations everywhere. */
  async nowUs(): Promise<number> {
    const [row] = await this.query<{ now_us: string }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us',
    );
    return Number(row?.now_us);
  }

  /** Whether it answers the smallest of questions, as what is well does, also beside a load. Never rejects. */
  async isWell(): Promise<boolean> {
    const answered = this.query('SELECT 1').then(
      () => true,
      () => false,
    );
    return (await within(WELL_WITHIN_MS, answered)) ?? false;
  }

  async close(): Promise<void> {
    await (await this.#pool)?.end();
  }

  /** The driver is loaded beside the first connection: neither the start of the module nor an admin's container waits for it. */
  #open(): Promise<pg.Pool> {
    this.#pool ??= this.#createPool();
    return this.#pool;
  }

  async #createPool(): Promise<pg.Pool> {
    const { default: pg } = await import('pg');
    const pool = new pg.Pool({
      ...(await this.#target(pg)),
      ...this.#config,
      onConnect: (client) => this.#admit(client),
    });
    // An idle connection that the server closes is an event, not a failed query: without a listener it ends the process.
    pool.on('error', (error) =>
      log.warn('postgres.connection_lost', 'An idle database connection was lost.', { error }),
    );
    return pool;
  }

  /** Whom to connect to, as whom. What only an RDS Proxy needs is loaded only for one. */
  async #target(driver: typeof pg): Promise<pg.ClientConfig> {
    if (!this.#isRdsProxy) return { connectionString: this.#databaseUrl };
    const { rdsProxyTarget } = await import('./rds-proxy.ts');
    return rdsProxyTarget({ driver, databaseUrl: this.#databaseUrl, readRole: environment.awsRole });
  }

  async #run<Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[],
    name?: string,
  ): Promise<Row[]> {
    const client = await this.#take();
    try {
      const result = await (name === undefined
        ? client.query<Row>(text, values as unknown[])
        : client.query<Row>({ name, text, values: values as unknown[] }));
      client.release();
      return result.rows;
    } catch (error) {
      client.release(error as Error);
      throw error;
    } finally {
      this.#usedAtMs.set(client, Date.now());
    }
  }

  /** Refuses a standby, once a connection: a standby may become the primary, but a primary that becomes a standby is started anew. */
  async #admit(client: pg.ClientBase): Promise<void> {
    // A connection that is lost under a query fails it, and is an event as well, which would end the process.
    client.on('error', () => {});
    const { rows } = await client.query<{ isStandby: boolean }>('SELECT pg_is_in_recovery() AS "isStandby"');
    if (rows[0]?.isStandby) throw new StandbyError();
    this.#usedAtMs.set(client, Date.now());
  }

  /** A connection that answers. Each that does not is closed; a new one has just answered. */
  async #take(): Promise<pg.PoolClient> {
    const pool = await this.#open();
    for (;;) {
      const client = await pool.connect();
      const usedAtMs = this.#usedAtMs.get(client) ?? 0;
      if (!hasPassed(TRUSTED_MS, usedAtMs)) return client;
      if (usedAtMs > this.#foundDeadAtMs && (await answers(client))) return client;
      this.#foundDeadAtMs = Date.now();
      client.release(new Error('An idle database connection does not answer any more.'));
    }
  }
}

async function answers(client: pg.PoolClient): Promise<boolean> {
  // The driver takes a limit for one query, of which its types know nothing.
  const question: pg.QueryConfig & { query_timeout: number } = {
    text: 'SELECT 1',
    query_timeout: PROOF_TIMEOUT_MS,
  };
  return client.query(question).then(
    () => true,
    () => false,
  );
}

/**
 * When a load began, in microseconds. It must not be later than the snapshot that the load reads: what was committed
 * before this moment must be seen. A statement with parameters takes three messages, and the interleaving that the
 * choice of clock closes is
 *   1. Parse: the implicit transaction begins, and with it transaction_timestamp()
 *   2. Bind: the snapshot is taken (old row)
 *   3. the owner commits the new row and invalidates: a tombstone
 *   4. Execute: statement_timestamp() is set again, later than the tombstone, for the row of step 2
 * On a standby it is no time: a pooler may lead to one although the connection was opened to a primary.
 */
export const LOAD_BEGAN_US = `CASE WHEN pg_is_in_recovery() THEN ${StandbyError.READ_AT_US}
  ELSE (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint END`;

function asUnavailable(error: unknown): unknown {
  if (error instanceof DatabaseUnavailableError || !isUnavailable(error)) return error;
  if (isTimeout(error))
    return new StatementTimeoutError('The statement ran out of its time.', { cause: error });
  return new DatabaseUnavailableError('Postgres did not answer.', { cause: error });
}
