/** A process that trusts whom its environment says, and connects as the functions do: what `tls-process` starts. */
import { environment } from '../../shared/environment.ts';
import { rootCause } from '../../shared/errors.ts';
import { setLogLevel } from '../../shared/logger.ts';
import { Database } from '../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../shared/redis/guarded-redis.ts';
import { offer } from './program-actions.ts';

export type Attempt = {
  /** What was answered, or else which error of ours came of it, and what caused it. */
  readonly answer?: unknown;
  readonly error?: string;
  readonly cause?: string;
  readonly tookMs: number;
};
export type TlsActions = typeof actions;

/** Longer than the functions wait at their start: the machine may be busy. */
const CONNECT_TIMEOUT_MS = 2_000;

setLogLevel(environment.logLevel());
const warnings: string[] = [];
process.on('warning', ({ message }) => warnings.push(message));

async function attempt(work: () => Promise<unknown>): Promise<Attempt> {
  const beganAtMs = performance.now();
  const took = () => performance.now() - beganAtMs;
  try {
    return { answer: await work(), tookMs: took() };
  } catch (error) {
    return { error: (error as Error).name, cause: rootCause(error), tookMs: took() };
  }
}

const actions = {
  /** The version of TLS through which Postgres answers; null without TLS. */
  async askPostgres(databaseUrl: string): Promise<Attempt> {
    const database = new Database(databaseUrl);
    const tls = 'SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    try {
      return await attempt(async () => (await database.query<{ version: string }>(tls))[0]?.version);
    } finally {
      await database.close();
    }
  },

  /** Writes and reads a key for each of `names`; answers what was read. */
  async askRedis(redisUrl: string, names: readonly string[]): Promise<Attempt> {
    const redis = new GuardedRedis(redisUrl, REQUEST_GUARD);
    try {
      return await attempt(async () => {
        await redis.connect(CONNECT_TIMEOUT_MS);
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
