/** Warmers of a test's own: processes with the real handler, each over the servers that it is told. */
import { fileURLToPath } from 'node:url';
import { openPrograms, type Program } from './program-process.ts';
import type { WarmerActions } from './warmer-program.ts';

export type Warmer = Program<WarmerActions>;

type WarmerServers = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  /** @default none: the real one is shared, and what it has is replaced by every push */
  readonly pushgatewayUrl?: string;
};

export type Warmers = {
  /** Resolves when the process is connected to Redis. */
  start(servers: WarmerServers): Promise<Warmer>;
  /** Kills all that were started. Call it in `afterAll`. */
  end(): Promise<void>;
};

const PROGRAM = fileURLToPath(new URL('./warmer-program.ts', import.meta.url));

export async function openWarmers(): Promise<Warmers> {
  const options = { name: 'Warmer', path: PROGRAM, keepsOutput: true };
  const { start, end } = await openPrograms<WarmerActions>(options);
  return {
    start: ({ redisUrl, databaseUrl, pushgatewayUrl = '' }) =>
      start({
        REDIS_URL: redisUrl,
        DATABASE_URL: databaseUrl,
        PUSHGATEWAY_URL: pushgatewayUrl,
        STAGE: 'warmers',
        LOG_LEVEL: 'info',
      }),
    end,
  };
}
