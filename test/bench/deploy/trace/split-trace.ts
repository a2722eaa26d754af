/** Divides a trace into what was read long before a deploy, shortly before it, and after it; and among containers. */
import type { Plan } from '../plan.ts';
import type { Trace } from './trace.ts';

/** User ids, in the order of their requests. */
export type TraceParts = {
  /** Fills caches and tells what is popular; read as fast as it can be. */
  readonly history: readonly number[];
  /** What is measured as the steady state. */
  readonly steady: readonly number[];
  /** What is measured after the deploy, and what the plot shows in addition. */
  readonly after: readonly number[];
};

/** Without a history as long as a measured part, there is no steady state. */
export function requestsMin(plan: Plan): number {
  return 2 * plan.steadyRequests + plan.afterRequests;
}

export function requestsMax(plan: Plan): number {
  return plan.historyRequestsMax + plan.steadyRequests + plan.afterRequests;
}

/** The last requests of the trace. Throws an error that says how many a trace must have. */
export function splitTrace({ name, userIds }: Trace, plan: Plan): TraceParts {
  const lacking = requestsMin(plan) - userIds.length;
  if (lacking > 0) {
    throw new Error(`The trace ${name} has ${userIds.length} lines and needs ${requestsMin(plan)} at least.`);
  }
  const last = userIds.slice(-requestsMax(plan));
  const deployAt = last.length - plan.afterRequests;
  const steadyAt = deployAt - plan.steadyRequests;
  return {
    history: last.slice(0, steadyAt),
    steady: last.slice(steadyAt, deployAt),
    after: last.slice(deployAt),
  };
}

/** To each of `containers` its requests: the first one to the first, the second one to the second, and so on. */
export function deal(userIds: readonly number[], containers: number): number[][] {
  const hands = Array.from({ length: containers }, (): number[] => []);
  for (const [index, userId] of userIds.entries()) hands[index % containers]?.push(userId);
  return hands;
}
