/** Orders a template's resources as CloudFormation creates them: each after those that it depends on. */
import type { Resource, Scope } from './intrinsics.ts';

/** A resource with its logical id. */
export type Entry = readonly [string, Resource];

/** Every resource after those that it depends on. */
export function inOrder(scope: Scope): Entry[] {
  const ordered = new Map<string, Resource>();
  const visit = (id: string, path: readonly string[]): void => {
    const resource = scope.resources[id];
    if (!resource || ordered.has(id) || path.includes(id)) return;
    for (const other of dependencies(resource)) visit(other, [...path, id]);
    ordered.set(id, resource);
  };
  for (const id of Object.keys(scope.resources)) visit(id, []);
  return [...ordered];
}

/** What CloudFormation waits for before it creates a resource: what it names, and its DependsOn. */
export function dependencies(resource: Resource): string[] {
  return [...[resource.DependsOn ?? []].flat(), ...referencesIn(resource.Properties)];
}

/** Names in `Ref` and `Fn::GetAtt`, anywhere in a value. */
export function referencesIn(value: unknown): string[] {
  const found = new Set<string>();
  JSON.stringify(value ?? null, (name, inner) => {
    if (name === 'Ref') found.add(String(inner));
    if (name === 'Fn::GetAtt')
      found.add(String(Array.isArray(inner) ? inner[0] : String(inner).split('.')[0]));
    return inner;
  });
  return [...found];
}
