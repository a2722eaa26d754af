/** Many single-key commands in one round trip: as one pipeline to a single server, as one for each server of a cluster. */
import { type ChainableCommander, Cluster, Command } from 'ioredis';
import type { RedisClient } from './client.ts';

/** Adds the command for the key at `index` to `commands`. */
type AddCommand = (commands: ChainableCommander, index: number) => unknown;

export function isCluster(redis: RedisClient): redis is Cluster {
  return redis instanceof Cluster;
}

/** Answers in the order of `keys`; throws the first failure of any command. */
export async function sendBatch(
  redis: RedisClient,
  keys: readonly string[],
  add: AddCommand,
): Promise<unknown[]> {
  if (!isCluster(redis)) {
    return sendPipeline(redis, [...keys.keys()], add, (error) => {
      throw error;
    });
  }
  const answers = new Array<unknown>(keys.length);
  // A slot may have moved since this client heard where it is: a command on its own is led there, a pipeline is not.
  const repeat = async (_error: Error, index: number) => add(redis as unknown as ChainableCommander, index);
  await Promise.all(
    placesByServer(redis, keys).map(async (places) => {
      const part = await sendPipeline(redis, places, add, repeat);
      for (const [index, answer] of part.entries()) answers[places[index] as number] = answer;
    }),
  );
  return answers;
}

async function sendPipeline(
  redis: RedisClient,
  places: readonly number[],
  add: AddCommand,
  onFailure: (error: Error, place: number) => unknown,
): Promise<unknown[]> {
  const commands = redis.pipeline();
  for (const place of places) add(commands, place);
  const results = (await commands.exec()) ?? [];
  return Promise.all(
    results.map(([error, answer], index) =>
      error === null ? answer : onFailure(error, places[index] as number),
    ),
  );
}

/** The places of the keys in the batch, by the servers that have them as far as this client knows. */
function placesByServer(cluster: Cluster, keys: readonly string[]): number[][] {
  const places = Map.groupBy(keys.keys(), (index) => {
    const slot = new Command('get', [keys[index] as string]).getSlot();
    return slot === null ? '' : (cluster.slots[slot]?.join() ?? '');
  });
  return [...places.values()];
}
