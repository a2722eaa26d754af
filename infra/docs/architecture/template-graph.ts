/** A synthesised template as a graph: which resource names which, and how each is called in the code that made it. */

import { dependencies } from '../../assembly/dependency-order.ts';
import type { Resource } from '../../assembly/intrinsics.ts';

export type StackTemplate = {
  readonly name: string;
  readonly resources: Readonly<Record<string, Resource>>;
  /** The values by their names. */
  readonly outputs: Readonly<Record<string, unknown>>;
};

/** The ids of all resources of a type, or of any of several. */
export function idsOf({ resources }: StackTemplate, ...types: readonly string[]): string[] {
  return Object.keys(resources).filter((id) => types.includes(resources[id]?.Type ?? ''));
}

/** The stacks whose outputs a value names. */
export function stacksIn(value: unknown): string[] {
  const found: string[] = [];
  JSON.stringify(value ?? null, (name, inner) => {
    if (name === 'Fn::GetStackOutput') found.push(String((inner as { StackName: string }).StackName));
    return inner;
  });
  return found;
}

/** Whether a resource is created after another one, directly or through others. */
export function isAfter({ resources }: StackTemplate, later: string, earlier: string): boolean {
  const seen = new Set<string>();
  const waiting = [later];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === earlier) return true;
    const resource = resources[id];
    if (resource === undefined || seen.has(id)) continue;
    seen.add(id);
    waiting.push(...dependencies(resource));
  }
  return false;
}
