/** Looks resources up in a template, with their properties resolved. */
import { type Resource, resolveValue, type Scope } from './intrinsics.ts';

export type Properties = Record<string, unknown>;

export type Listed = { readonly id: string; readonly properties: Properties };

export function listOf(scope: Scope, type: string): Listed[] {
  return Object.entries(scope.resources)
    .filter(([, resource]) => resource.Type === type)
    .map(([id, resource]) => ({ id, properties: propertiesOf(resource, scope) }));
}

export function propertiesOf(resource: Resource | undefined, scope: Scope): Properties {
  return resolveValue(resource?.Properties ?? {}, scope) as Properties;
}
