/** Prewarm as its reading function opens it and answers a request with it; and the same caches without all warming. */
import { type Caches, openCaches } from '../../../../shared/caches.ts';
import { setLogLevel } from '../../../../shared/logger.ts';
import { Telemetry } from '../../../../shared/metrics/telemetry.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { hydrate } from '../../../../shared/warming/hydration.ts';
import { ReadReporter } from '../../../../shared/warming/popularity.ts';
import { type ContainerSetup, type DeployContestant, WrongAnswerError } from './index.ts';

const CONNECT_TIMEOUT_MS = 300;

export async function openWarmed(setup: ContainerSetup): Promise<DeployContestant> {
  const { redis, caches, telemetry } = await openConnected(setup);
  const counted = Object.values(caches);
  const reporter = new ReadReporter(redis, counted);
  await hydrate(redis, counted);
  return {
    read: (userId) =>
      answer(caches, userId, () => Promise.all([telemetry.flushIfDue(), reporter.reportIfDue()])),
    flush: () => reporter.reportAll(),
    close: () => redis.close(),
  };
}

/** No memory is filled, nothing is counted for a warm-up, and none runs. */
export async function openUnwarmed(setup: ContainerSetup): Promise<DeployContestant> {
  const { redis, caches, telemetry } = await openConnected(setup);
  return {
    read: (userId) => answer(caches, userId, () => telemetry.flushIfDue()),
    close: () => redis.close(),
  };
}

async function openConnected({ redisUrl, database }: ContainerSetup) {
  setLogLevel('silent');
  const redis = new GuardedRedis(redisUrl, REQUEST_GUARD);
  const caches = openCaches(redis, database);
  const telemetry = new Telemetry(redis, undefined, Object.values(caches));
  await redis.connect(CONNECT_TIMEOUT_MS);
  return { redis, caches, telemetry };
}

/** What is handed on goes beside the read, and is awaited before the answer, as by the function. */
async function answer(caches: Caches, userId: number, flush: () => Promise<unknown>): Promise<boolean> {
  const flushing = flush();
  const isHit = await readUser(caches, userId);
  await flushing;
  return isHit;
}

async function readUser({ users }: Caches, userId: number): Promise<boolean> {
  const { json, layer } = users.probe(userId) ?? (await users.get(userId));
  if (json?.startsWith(`{"id":${userId},`)) return layer !== 'miss';
  throw new WrongAnswerError(userId);
}
