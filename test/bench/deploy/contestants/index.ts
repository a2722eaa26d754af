/** Who takes part, under the name that the tables show: a cache of users before a real Postgres. */

import { users } from '../../../../shared/datasets/users.ts';
import type { Database } from '../../../../shared/postgres/database.ts';
import { openEntrant } from '../../contestants/index.ts';
import type { User } from '../../sample-users.ts';

export type ContainerSetup = {
  readonly redisUrl: string;
  /** As the product opens it, for everybody. */
  readonly database: Database;
};

export type DeployContestant = {
  /** Whether the user was cached: its load was neither made nor waited for. Throws if the answer is another user. */
  read(userId: number): Promise<boolean>;
  /** Hands on what only this container knows. @default - there is nothing */
  readonly flush?: () => Promise<void>;
  close(): unknown;
};

/** Resolves when the container is ready for its first request. */
type OpenContestant = (setup: ContainerSetup) => Promise<DeployContestant>;

/** The same for all: what a container keeps, and how long memory and Redis do. */
export const MEMORY_ENTRIES_MAX = 900;
export const MEMORY_MS = 60_000;
export const REDIS_MS = 15 * 60_000;

export class WrongAnswerError extends Error {
  override readonly name = 'WrongAnswerError';

  constructor(userId: number) {
    super(`The user ${userId} was asked for, and something else was answered.`);
  }
}

export const DEPLOY_ENTRANTS = [
  'Prewarm',
  'Prewarm without warming',
  'lru-cache + ioredis',
  'bentocache',
  'layered-loader',
] as const;
export type DeployEntrant = (typeof DEPLOY_ENTRANTS)[number];

export const WARMED: DeployEntrant = 'Prewarm';

/** Everybody else's caches; Prewarm without its warming is no peer. */
export const DEPLOY_PEERS: readonly DeployEntrant[] = ['lru-cache + ioredis', 'bentocache', 'layered-loader'];

export function isDeployPeer(entrant: DeployEntrant): boolean {
  return DEPLOY_PEERS.includes(entrant);
}

/** Imported when it is opened, so that a process has one contestant's code and no other's. */
const OPEN: Readonly<Record<DeployEntrant, OpenContestant>> = {
  Prewarm: async (setup) => (await import('./prewarm.ts')).openWarmed(setup),
  'Prewarm without warming': async (setup) => (await import('./prewarm.ts')).openUnwarmed(setup),
  'lru-cache + ioredis': async (setup) => (await import('./cache-aside.ts')).open(setup),
  bentocache: (setup) => openPeer('bentocache', setup),
  'layered-loader': (setup) => openPeer('layered-loader', setup),
};

export function openContestant(entrant: DeployEntrant, setup: ContainerSetup): Promise<DeployContestant> {
  return OPEN[entrant](setup);
}

/** How those who are not Prewarm load a user: the same statement on the same pool, and JSON.parse, because they cache objects. */
type CountedLoader = {
  readonly load: (id: string) => Promise<User>;
  /** Reads through `get`, and answers whether it went without a load. A container has one read at a time. */
  readonly hit: (userId: number, get: (id: string) => unknown) => Promise<boolean>;
};

export function countedLoader(database: Database): CountedLoader {
  let loads = 0;
  return {
    async load(id) {
      loads++;
      const { values } = await users.load(database, [Number(id)]);
      return JSON.parse(values[0] ?? 'null') as User;
    },
    async hit(userId, get) {
      const before = loads;
      const user = (await get(String(userId))) as User | null | undefined;
      if (user?.['id'] !== userId) throw new WrongAnswerError(userId);
      return loads === before;
    },
  };
}

/** The libraries, set up as for the other benchmarks and as their documentation does it. */
async function openPeer(
  name: 'bentocache' | 'layered-loader',
  { redisUrl, database }: ContainerSetup,
): Promise<DeployContestant> {
  const { load, hit } = countedLoader(database);
  const { get = () => undefined, close } = await openEntrant(name, {
    redisUrl,
    connection: {}, // the library's own, or ioredis' own
    layer: 'l2',
    memoryEntriesMax: MEMORY_ENTRIES_MAX,
    memoryMs: MEMORY_MS,
    redisMs: REDIS_MS,
    load,
  });
  return { read: (userId) => hit(userId, get), close };
}
