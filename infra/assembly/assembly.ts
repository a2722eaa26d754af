/** Finds the one stack of a cloud assembly: its template, and where the bundles of its functions lie. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Resource } from './intrinsics.ts';

export type Assembly = {
  readonly stackName: string;
  readonly template: {
    readonly Resources: Readonly<Record<string, Resource>>;
    readonly Parameters?: Readonly<Record<string, { Default?: unknown }>>;
  };
  /** The bundle's folder by the object key that the template names. */
  readonly assetPaths: ReadonlyMap<string, string>;
};

type Artifact = { type: string; properties?: { templateFile?: string; file?: string; stackName?: string } };
type AssetFile = { source: { path: string }; destinations: Record<string, { objectKey: string }> };

/** @throws when the folder is no assembly, or has more stacks than the one that runs here. */
export function readAssembly(dir: string): Assembly {
  const { artifacts } = readJson<{ artifacts: Record<string, Artifact> }>(dir, 'manifest.json');
  const stacks = Object.entries(artifacts).filter(([, { type }]) => type === 'aws:cloudformation:stack');
  const [stack, ...others] = stacks;
  if (!stack || others.length > 0)
    throw new Error(`${dir} has ${stacks.length} stacks; the local stage has one`);
  const [id, { properties }] = stack;
  return {
    stackName: properties?.stackName ?? id,
    template: readJson(dir, properties?.templateFile ?? ''),
    assetPaths: new Map(Object.values(artifacts).flatMap((artifact) => readAssets(dir, artifact))),
  };
}

function readAssets(dir: string, { type, properties }: Artifact): (readonly [string, string])[] {
  if (type !== 'cdk:asset-manifest' || !properties?.file) return [];
  const { files = {} } = readJson<{ files?: Record<string, AssetFile> }>(dir, properties.file);
  return Object.values(files).flatMap(({ source, destinations }) =>
    Object.values(destinations).map(({ objectKey }) => [objectKey, join(dir, source.path)] as const),
  );
}

function readJson<T>(dir: string, file: string): T {
  return JSON.parse(readFileSync(join(dir, file), 'utf8')) as T;
}
