/** Containers of the read function in a test's own process: each with connections, caches and counts of its own, until the test is finished. */
import { onTestFinished } from 'vitest';
import { type Caches, openCaches } from '../../shared/caches.ts';
import { Database } from '../../shared/postgres/database.ts';
import { GuardedRedis, type GuardOptions, WARMER_GUARD } from '../../shared/redis/guarded-redis.ts';
import { type Hydrated, hydrate } from '../../shared/warming/hydration.ts';
import { ReadReporter } from '../../shared/warming/popularity.ts';
import { datasets, type Registered } from './datasets/index.ts';

export type Container = {
  readonly redis: GuardedRedis;
  readonly caches: Caches<Registered>;
  readonly reads: ReadReporter;
  /** As the function does before its first request, but as long as a busy machine needs if not told otherwise. */
  hydrate(timeoutMs?: number): Promise<Hydrated>;
};

type ContainerOptions = {
  readonly redisUrl: string;
  /** @default none: whoever asks it gets a failure */
  readonly databaseUrl?: string;
  /** @default as patient as a warm-up, so that a busy machine does not look like a Redis that is away */
  readonly guard?: GuardOptions;
  readonly registered?: Registered;
};

const NO_DATABASE = 'postgres://nobody@127.0.0.1:1/none';
/** Bounds against hanging. */
const CONNECT_TIMEOUT_MS = 30_000;
const HYDRATE_TIMEOUT_MS = 30_000;
/** Reads of one container that are under way at once: they go to Redis together. */
const TOGETHER = 50;

export async function openContainer(options: ContainerOptions): Promise<Container> {
  const { redisUrl, databaseUrl = NO_DATABASE, guard = WARMER_GUARD, registered = datasets } = options;
  const redis = new GuardedRedis(redisUrl, guard);
  const database = new Database(databaseUrl);
  onTestFinished(async () => {
    redis.close();
    await database.close();
  });
  const caches = openCaches(redis, database, registered);
  const all = Object.values(caches);
  await redis.connect(CONNECT_TIMEOUT_MS);
  return {
    redis,
    caches,
    reads: new ReadReporter(redis, all),
    hydrate: (timeoutMs = HYDRATE_TIMEOUT_MS) => hydrate(redis, all, timeoutMs),
  };
}

/** Users, spread over the containers as a load balancer does; each container hands on its counts as the function does. */
export async function readAll(containers: readonly Container[], ids: readonly number[]): Promise<void> {
  const shareOf = (index: number) => ids.filter((_, place) => place % containers.length === index);
  await Promise.all(containers.map((container, index) => readShare(container, shareOf(index))));
}

async function readShare({ caches, reads }: Container, ids: readonly number[]): Promise<void> {
  for (let from = 0; from < ids.length; from += TOGETHER) {
    await Promise.all(ids.slice(from, from + TOGETHER).map((id) => caches.users.get(id)));
    await reads.reportIfDue();
  }
  await reads.reportAll();
}
