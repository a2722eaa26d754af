/** The libraries, set up as for the other benchmarks and as their documentation does it, before Postgres. */
import type { ContestantModule } from '../../contestants/contestant.ts';
import {
  type ContainerSetup,
  type DeployContestant,
  MEMORY_ENTRIES_MAX,
  MEMORY_MS,
  REDIS_MS,
} from './contestant.ts';
import { countedLoader } from './loader.ts';

export async function openPeer(
  name: 'bentocache' | 'layered-loader',
  { redisUrl, database }: ContainerSetup,
): Promise<DeployContestant> {
  const { open } = (await import(`../../peers/contestants/${name}.mjs`)) as ContestantModule;
  const loader = countedLoader(database);
  const { get = () => undefined, close } = await open({
    redisUrl,
    connection: {}, // the library's own, or ioredis' own
    layer: 'l2',
    variant: undefined,
    memoryEntriesMax: MEMORY_ENTRIES_MAX,
    memoryMs: MEMORY_MS,
    redisMs: REDIS_MS,
    load: loader.load,
  });
  return { read: (userId) => loader.hit(userId, get), close };
}
