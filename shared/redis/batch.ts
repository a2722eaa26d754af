/** Many single-key commands in one round trip: as one pipeline to a single server, as one for each server of a cluster. */
import { type ChainableCommander, Cluster, Command, type Redis } from 'ioredis';
import type { RedisClient } from './client.ts';

/** Adds the command for the key at `index` to `commands`. */
type AddCommand = (commands: ChainableCommander, index: number) => unknown;

/** The answer, or the failure. */
type Result = readonly [error: Error | null, answer: unknown];

/** The server did not run the command: another one has the key, or will have it in a moment. */
const REDIRECTED = /^(MOVED|ASK|TRYAGAIN)\b/;

export function isCluster(redis: RedisClient): redis is Cluster {
  return redis instanceof Cluster;
}

/** Answers in the order of `keys`; throws the first failure of any command. */
export async function sendBatch(
  redis: RedisClient,
  keys: readonly string[],
  add: AddCommand,
): Promise<unknown[]> {
  // A pipeline costs as much as the command.
  if (keys.length === 1) return [await add(redis as unknown as ChainableCommander, 0)];
  const results = isCluster(redis)
    ? await sendToCluster(redis, keys, add)
    : await sendPipeline(redis, [...keys.keys()], add);
  return results.map(([error, answer]) => {
    if (error !== null) throw error;
    return answer;
  });
}

/**
 * A pipeline to each server itself: the cluster's own would refuse keys whose slots have moved since it last asked. A
 * command on its own is redirected to where its slot is now.
 */
async function sendToCluster(cluster: Cluster, keys: readonly string[], add: AddCommand): Promise<Result[]> {
  const results = new Array<Result>(keys.length);
  const sendAlone = async (place: number) => {
    results[place] = await settle(add(cluster as unknown as ChainableCommander, place));
  };
  const sendTogether = async (server: Redis, places: readonly number[]) => {
    const sent = await sendPipeline(server, places, add);
    for (const [index, place] of places.entries()) results[place] = sent[index] as Result;
    await Promise.all(places.filter((place) => isRedirected(results[place])).map(sendAlone));
  };
  await Promise.all(
    [...placesByServer(cluster, keys)].map(([server, places]) =>
      server === undefined ? Promise.all(places.map(sendAlone)) : sendTogether(server, places),
    ),
  );
  return results;
}

async function sendPipeline(redis: Redis, places: readonly number[], add: AddCommand): Promise<Result[]> {
  const commands = redis.pipeline();
  for (const place of places) add(commands, place);
  return (await commands.exec()) ?? [];
}

function isRedirected(result: Result | undefined): boolean {
  return REDIRECTED.test(result?.[0]?.message ?? '');
}

async function settle(command: unknown): Promise<Result> {
  try {
    return [null, await command];
  } catch (error) {
    return [error as Error, undefined];
  }
}

/** The server that has `key`, for commands without a key that are about it; as far as this client knows. */
export function serverOf(redis: RedisClient, key: string): RedisClient {
  return isCluster(redis) ? (addressBook(redis)(key) ?? redis) : redis;
}

/** The places of the keys in the batch, by the servers that have them as far as this client knows; undefined where it does not. */
function placesByServer(cluster: Cluster, keys: readonly string[]): Map<Redis | undefined, number[]> {
  const serverOfKey = addressBook(cluster);
  return Map.groupBy(keys.keys(), (index) => serverOfKey(keys[index] as string));
}

function addressBook(cluster: Cluster): (key: string) => Redis | undefined {
  const servers = new Map(
    cluster.nodes().map((server) => [`${server.options.host}:${server.options.port}`, server]),
  );
  return (key) => {
    const slot = new Command('get', [key]).getSlot();
    return servers.get(cluster.slots[slot ?? -1]?.[0] ?? '');
  };
}

/** `items` in their order, `size` at a time. */
export function chunksOf<T>(items: readonly T[], size: number): T[][] {
  if (items.length > 0 && items.length <= size) return [[...items]];
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
