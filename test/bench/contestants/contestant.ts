/** What the benchmarks ask of everything that they measure: Prewarm, its peers, and the bare libraries as floors. */
import type { RedisOptions } from 'ioredis';
import type { User } from '../sample-users.ts';

/** The options of ioredis that decide how long a command may take, and what becomes of it without a connection. */
export type Connection = Pick<
  RedisOptions,
  | 'commandTimeout'
  | 'connectTimeout'
  | 'enableOfflineQueue'
  | 'autoResendUnfulfilledCommands'
  | 'maxRetriesPerRequest'
>;

export type Setup = {
  /** A logical database of the contestant's own. */
  readonly redisUrl: string;
  /** For those who take an ioredis client or its options. */
  readonly connection: Connection;
  /** The layer that the case is about, for a library that has one layer only. */
  readonly layer: 'l1' | 'l2';
  /** What the contestant's variants differ in. */
  readonly variant: string | undefined;
  readonly memoryEntriesMax: number;
  readonly memoryMs: number;
  readonly redisMs: number;
  /** The source of the cases with a real one, for who goes there in a way of its own. @default - `load` is all there is */
  readonly databaseUrl?: string;
  /** The source behind the caches; counted, and as slow or broken as the case wants it. */
  load(id: string): Promise<User>;
};

/** `unknown`, not a promise: a floor answers at once, and pays for being awaited like everybody else. */
export type Contestant = {
  /** From memory only, without a promise; undefined when it is not there. */
  readonly probe?: (id: string) => unknown;
  readonly get?: (id: string) => unknown;
  readonly getMany?: (ids: readonly string[]) => Promise<readonly unknown[]>;
  /** Puts the user of `id` where reads find it. @default - `get`, which loads what is missing */
  readonly fill?: (id: string) => unknown;
  /** What was read, as a user, to check it. @default - the read itself is the user */
  readonly toUser?: (read: unknown) => unknown;
  /** Whether memory answered what was read. @default - whether it was answered at once */
  readonly isFromMemory?: (read: unknown) => boolean;
  readonly close: () => unknown;
};

export type ContestantModule = { readonly open: (setup: Setup) => Promise<Contestant> };

/**
 * The connection of Prewarm (`shared/redis/client.ts`), so that a time limit for each command, which costs something,
 * is paid by all.
 */
export const LIMITED_CONNECTION: Connection = {
  commandTimeout: 100,
  connectTimeout: 1_000,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
};
