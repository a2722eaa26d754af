/** Containers of a test's own: processes that read through a cache each. */
import { fileURLToPath } from 'node:url';
import { openPrograms, type Program } from './program-process.ts';
import type { ReaderActions } from './reader-program.ts';

export type Reader = Program<ReaderActions>;

type ReaderServers = { readonly redisUrl: string; readonly databaseUrl: string };

export type Readers = {
  /** Resolves when the process is connected to both servers. */
  start(servers: ReaderServers): Promise<Reader>;
  /** Kills all that were started. Call it in `afterAll`. */
  end(): Promise<void>;
};

const PROGRAM = fileURLToPath(new URL('./reader-program.ts', import.meta.url));

export async function openReaders(): Promise<Readers> {
  const { start, end } = await openPrograms<ReaderActions>({ name: 'Reader', path: PROGRAM });
  return {
    start: ({ redisUrl, databaseUrl }) => start({ REDIS_URL: redisUrl, DATABASE_URL: databaseUrl }),
    end,
  };
}
