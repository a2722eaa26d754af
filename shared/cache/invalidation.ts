/** Makes what Redis has of a dataset invisible: all of it, by a new generation, or some ids, by tombstones that are announced. */
import { chunksOf, serverOf } from '../redis/batch.ts';
import type { RedisClient } from '../redis/client.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { type Entry, encodeEntry } from './entry.ts';
import { INVALIDATIONS_KEPT_MS } from './generation.ts';
import { ignoreUnavailable } from './redis-layer.ts';
import { cacheKeys } from './redis-scripts.ts';

/** Redis remembers so many invalidated ids, some 5 MB a dataset; a container that missed a forgotten one empties its memory. */
const ANNOUNCED_IDS_MAX = 50_000;

/** Redis answers nobody else while it stores them. */
const PUT_TOGETHER_MAX = 50;

/** A failover to a replica that does not have a clear yet would bring the old generation back: so ask, but not for long. */
const REPLICA_ACK_TIMEOUT_MS = 50;

export type Cleared = {
  readonly generation: string;
  readonly replicas: number;
  /** Fewer than `replicas`: a failover in this moment could bring back what was cleared. */
  readonly replicasAcknowledged: number;
};

/**
 * Makes everything of `dataset` invisible; `known` is the highest generation that the caller knows. Throws
 * `RedisUnavailableError`: the caller must know that it was not done.
 */
export async function clearAll(redis: GuardedRedis, dataset: string, known: string): Promise<Cleared> {
  const key = cacheKeys.generation(dataset);
  const generation = await redis.run((client) => client.raiseGeneration(key, known));
  return { generation, ...(await awaitReplicas(redis, key)) };
}

/** The clear is done by then: a server that does not tell of its replicas, or no answer of theirs, is no failure. */
async function awaitReplicas(redis: GuardedRedis, key: string): Promise<Omit<Cleared, 'generation'>> {
  let replicas = 0;
  try {
    const server = (client: RedisClient) => serverOf(client, key);
    replicas = replicasOf(await redis.runWaiting((client) => server(client).role()));
    if (replicas === 0) return { replicas, replicasAcknowledged: 0 };
    const acknowledged = await redis.runWaiting((client) =>
      server(client).wait(replicas, REPLICA_ACK_TIMEOUT_MS),
    );
    return { replicas, replicasAcknowledged: acknowledged };
  } catch (error) {
    ignoreUnavailable(error);
    return { replicas, replicasAcknowledged: 0 };
  }
}

/** ROLE answers ['master', offset, [replica…]] on the server that takes writes. */
function replicasOf(role: unknown): number {
  const connected = Array.isArray(role) ? role[2] : undefined;
  return Array.isArray(connected) ? connected.length : 0;
}

/**
 * Refuses what was read of `ids` before `atUs`, under each of `schemaVersions`, and announces them to the other containers. Throws
 * `RedisUnavailableError`.
 */
export async function invalidateIds(
  redis: GuardedRedis,
  dataset: string,
  { current: generation, schemaVersions }: { current: string; schemaVersions: readonly string[] },
  ids: readonly string[],
  atUs: number,
): Promise<void> {
  // An invalidation by one schema version is for the entries of all: an id is the same in each.
  const entryKeys = schemaVersions.flatMap((version) =>
    ids.map((id) => cacheKeys.entry(dataset, version, generation, id)),
  );
  // Announced twice. After the tombstones, because a container that checked before them may have read the old value again. And
  // before, because of this:
  //   1. a load reads the old row      3. a full Redis evicts the tombstone
  //   2. the tombstone is put          4. the load is stored: nothing says yet that there was a tombstone
  await announce(redis, dataset, ids);
  await putTombstones(redis, entryKeys, tombstoneAt(atUs));
  await announce(redis, dataset, ids);
}

async function announce(redis: GuardedRedis, dataset: string, ids: readonly string[]): Promise<void> {
  const key = cacheKeys.invalidated(dataset);
  await redis.run((client) =>
    client.announceInvalidated(key, INVALIDATIONS_KEPT_MS, ANNOUNCED_IDS_MAX, ...ids),
  );
}

function tombstoneAt(atUs: number): Entry {
  const untilMs = Date.now() + INVALIDATIONS_KEPT_MS;
  return { kind: 'tombstone', readAtUs: atUs, freshUntilMs: untilMs, staleUntilMs: untilMs, json: null };
}

async function putTombstones(
  redis: GuardedRedis,
  entryKeys: readonly string[],
  tombstone: Entry,
): Promise<void> {
  const sent = [encodeEntry(tombstone), tombstone.readAtUs, INVALIDATIONS_KEPT_MS];
  const together = chunksOf(entryKeys, redis.isCluster ? 1 : PUT_TOGETHER_MAX);
  const firstKeys = together.map(([first]) => first as string);
  await redis.batch(firstKeys, (commands, index) => {
    const some = together[index] as string[];
    return commands.putTombstones(some.length, ...some, ...some.flatMap(() => sent));
  });
}
