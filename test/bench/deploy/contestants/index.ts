/** Who takes part, under the name that the tables show. */
import type { DeployContestant, OpenContestant } from './contestant.ts';

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
  bentocache: async (setup) => (await import('./peer.ts')).openPeer('bentocache', setup),
  'layered-loader': async (setup) => (await import('./peer.ts')).openPeer('layered-loader', setup),
};

export function openContestant(
  entrant: DeployEntrant,
  setup: Parameters<OpenContestant>[0],
): Promise<DeployContestant> {
  return OPEN[entrant](setup);
}
