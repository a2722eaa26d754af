/** The floor of a hit in memory: lru-cache with a time to live; as it comes, which reads its clock once a millisecond, or at every read. */
import { LRUCache } from 'lru-cache';
import { userOf } from '../sample-users.ts';
import type { Contestant, Setup } from './contestant.ts';

export async function open(setup: Setup): Promise<Contestant> {
  const cache = new LRUCache<string, object>({
    max: setup.memoryEntriesMax,
    ttl: setup.memoryMs,
    ...(setup.variant === 'exact' && { ttlResolution: 0 }),
  });
  const get = (id: string) => cache.get(id);
  return { probe: get, get, fill: (id) => cache.set(id, userOf(id)), close: () => cache.clear() };
}
