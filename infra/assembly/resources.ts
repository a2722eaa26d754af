/** Looks resources up in a template, with their properties resolved, and the functions that these name. */
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

/** From a function's ARN, whole or partial, or an address that has one in it. @throws for what names no function. */
export function functionNameOf(arn: string): string {
  const name = /:function:([^:/]+)/.exec(arn)?.[1];
  if (!name) throw new Error(`${arn} names no function: the local runner invokes nothing else`);
  return name;
}
