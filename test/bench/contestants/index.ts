/** Who takes part, under the name that the tables show. */
import type { Contestant, ContestantModule, Setup } from './contestant.ts';

/** A path relative to this file. Peers are plain modules, because their packages are installed for the benchmarks only. */
type Entrant = { readonly module: string; readonly variant?: string };

const ENTRANTS = {
  'lru-cache get': { module: './lru-cache.ts' },
  'lru-cache get, ttlResolution: 0': { module: './lru-cache.ts', variant: 'exact' },
  'ioredis GET + JSON.parse': { module: './ioredis.ts', variant: 'parsed' },
  'ioredis GET, text': { module: './ioredis.ts', variant: 'text' },
  'ioredis GET + JSON.parse, no time limit': { module: './ioredis.ts', variant: 'unlimited' },
  'ioredis MGET + JSON.parse': { module: './ioredis.ts', variant: 'parsed' },
  'ioredis MGET, text': { module: './ioredis.ts', variant: 'text' },
  'ioredis + pg + lru-cache': { module: './by-hand.ts' },
  'ioredis + pg + lru-cache, named statement': { module: './by-hand.ts', variant: 'named' },
  Prewarm: { module: './prewarm.ts' },
  'Prewarm + JSON.parse': { module: './prewarm.ts', variant: 'parsed' },
  'Prewarm, numeric ids': { module: './prewarm.ts', variant: 'numeric' },
  'layered-loader': { module: '../peers/contestants/layered-loader.mjs' },
  'async-cache-dedupe': { module: '../peers/contestants/async-cache-dedupe.mjs' },
  bentocache: { module: '../peers/contestants/bentocache.mjs' },
  'bentocache, serialize: false': {
    module: '../peers/contestants/bentocache.mjs',
    variant: 'unserialized',
  },
  'bentocache, breaker': { module: '../peers/contestants/bentocache.mjs', variant: 'breaker' },
  'cache-manager': { module: '../peers/contestants/cache-manager.mjs' },
  cacheable: { module: '../peers/contestants/cacheable.mjs' },
  'cacheable, nonBlocking': { module: '../peers/contestants/cacheable.mjs', variant: 'nonBlocking' },
} as const satisfies Record<string, Entrant>;

export type EntrantName = keyof typeof ENTRANTS;

export const PREWARM: EntrantName = 'Prewarm';

/** As their documentation sets them up for memory and Redis. */
export const PEERS: readonly EntrantName[] = [
  'layered-loader',
  'async-cache-dedupe',
  'bentocache',
  'cache-manager',
  'cacheable',
];

/** Neither Prewarm nor a floor, whichever variant of it. */
export function isPeer(name: EntrantName): boolean {
  return ENTRANTS[name].module.startsWith('../peers/');
}

/** Imported only now, so that a process has one contestant's code and no other's. */
export async function openEntrant(name: EntrantName, setup: Omit<Setup, 'variant'>): Promise<Contestant> {
  const { module, variant }: Entrant = ENTRANTS[name];
  const { open } = (await import(module)) as ContestantModule;
  return open({ ...setup, variant });
}
