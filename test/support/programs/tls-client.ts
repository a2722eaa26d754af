/** A process that trusts whom its environment says, and connects as the functions do. */
import { environment } from '../../../shared/environment.ts';
import { rootCause } from '../../../shared/errors.ts';
import { setLogLevel } from '../../../shared/logger.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';
import { offer } from './offer.ts';

type Attempt = {
  /** What was answered, or else which error of ours came of it, and what caused it. */
  readonly answer?: unknown;
  readonly error?: string;
  readonly cause?: string;
};
export type TlsClientActions = typeof actions;

/** Longer than the functions wait for anything: the machine may be busy. */
const PATIENT_MS = 30_000;

setLogLevel(environment.logLevel());
const warnings: string[] = [];
process.on('warning', ({ message }) => warnings.push(message));

async function attempt(work: () => Promise<unknown>): Promise<Attempt> {
  try {
    return { answer: await work() };
  } catch (error) {
    return { error: (error as Error).name, cause: rootCause(error) };
  }
}

const actions = {
  /** The version of TLS through which Postgres answers; null without TLS. */
  async askPostgres(databaseUrl: string): Promise<Attempt> {
    const database = new Database(databaseUrl, {
      connectTimeoutMs: PATIENT_MS,
      statementTimeoutMs: PATIENT_MS,
    });
    const tls = 'SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    try {
      return await attempt(async () => (await database.query<{ version: string }>(tls))[0]?.version);
    } finally {
      await database.close();
    }
  },

  /** Writes and reads a key for each of `names`; answers what was read. */
  async askRedis(redisUrl: string, names: readonly string[]): Promise<Attempt> {
    const redis = new GuardedRedis(redisUrl, { ...REQUEST_GUARD, timeoutMs: PATIENT_MS });
    try {
      return await attempt(async () => {
        await redis.connect(PATIENT_MS);
        await redis.batch(names, (commands, index) => commands.set(names[index] as string, `value ${index}`));
        return redis.readTexts(names);
      });
    } finally {
      redis.close();
    }
  },

  /** What the process has been warned of so far. */
  warnings: () => warnings,
};

offer(actions);
