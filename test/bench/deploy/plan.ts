/** How large a run is: containers, their pace, and how many requests each part has. */

/** Containers that one deployment replaces. */
const CONTAINERS = 10;
/** Requests of each container that are measured, before the deploy and after it. */
export const REQUESTS_DEFAULT = 1_000;
/** Of each container, in a second: so many leave both processors of a small machine idle half of the time, whoever runs. */
export const RATE_DEFAULT = 100;
const HISTORY_REQUESTS_MAX = 100_000;

/** Counts are of all containers together. */
export type Plan = {
  readonly containers: number;
  /** From one request of a container to its next one. */
  readonly paceMs: number;
  readonly historyRequestsMax: number;
  readonly steadyRequests: number;
  /** The first ones after the deploy, which the tables are about. */
  readonly measuredRequests: number;
  /** With those that only the plot shows. */
  readonly afterRequests: number;
};

export function makePlan({ rate, requests }: { rate: number; requests: number }): Plan {
  const measuredRequests = CONTAINERS * requests;
  return {
    containers: CONTAINERS,
    paceMs: 1_000 / rate,
    historyRequestsMax: HISTORY_REQUESTS_MAX,
    steadyRequests: measuredRequests,
    measuredRequests,
    afterRequests: 2 * measuredRequests,
  };
}
