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

/** Names in `Ref` and `Fn::GetAtt` anywhere in the resource, and its DependsOn. */
function dependencies(resource: Resource): string[] {
  const found = [resource.DependsOn ?? []].flat();
  JSON.stringify(resource.Properties ?? {}, (name, value) => {
    if (name === 'Ref') found.push(String(value));
    if (name === 'Fn::GetAtt')
      found.push(String(Array.isArray(value) ? value[0] : String(value).split('.')[0]));
    return value;
  });
  return found;
}
