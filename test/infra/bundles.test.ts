/** Every function's real bundle: how large it is, which libraries it brings, and what it expects of Lambda's runtime. */
import { isBuiltin } from 'node:module';
import { buildSync, type Metafile } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { bundleOptions } from '../../infra/constructs/bundled-code.ts';
import type { FunctionFolder } from '../../infra/stage-config.ts';
import { functionFolders } from '../support/function-folders.ts';

type Bundle = {
  /** A little more than it has: what a change adds is to be noticed. */
  readonly bytesMax: number;
  /** Of the AWS SDK, which the runtime has. */
  readonly fromRuntime: readonly string[];
  /** Libraries that only these functions have a reason to bring. */
  readonly brings: readonly string[];
};

const DATA = ['ioredis', 'pg', 'prom-client', 'zod'];

const bundles: Readonly<Record<FunctionFolder, Bundle>> = {
  read: { bytesMax: 690_000, fromRuntime: [], brings: [...DATA, '@middy/core'] },
  admin: {
    bytesMax: 740_000,
    fromRuntime: ['@aws-sdk/client-elasticache', '@aws-sdk/client-lambda'],
    brings: [...DATA, '@middy/core'],
  },
  warmer: { bytesMax: 680_000, fromRuntime: [], brings: DATA },
  authorizer: { bytesMax: 42_000, fromRuntime: [], brings: ['aws-jwt-verify'] },
  'deployment-hook': { bytesMax: 9_200, fromRuntime: ['@aws-sdk/client-lambda'], brings: [] },
  migrate: { bytesMax: 146_000, fromRuntime: [], brings: ['pg'] },
};

/** What libraries ask for if it is there, and do without. */
const OPTIONAL = ['pg-native', 'supports-color'];

function build(folder: string): Metafile {
  const options = bundleOptions(`functions/${folder}/handler.ts`, 'not-written');
  return buildSync({ ...options, write: false, metafile: true }).metafile as Metafile;
}

function scriptsOf(metafile: Metafile) {
  return Object.entries(metafile.outputs).flatMap(([name, output]) =>
    name.endsWith('.mjs') ? [output] : [],
  );
}

/** Packages outside of the bundle and of Node itself. */
function askedFor(metafile: Metafile): string[] {
  const paths = scriptsOf(metafile).flatMap(({ imports }) => imports.filter(({ external }) => external));
  const packages = paths
    .map(({ path }) => path)
    .filter((path) => !isBuiltin(path) && !OPTIONAL.includes(path));
  return [...new Set(packages)].sort();
}

function librariesOf(metafile: Metafile): Set<string | undefined> {
  const inputs = scriptsOf(metafile).flatMap((output) => Object.keys(output.inputs));
  return new Set(inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]));
}

it('there is a folder for each function, and no other', () => {
  expect(functionFolders().sort()).toEqual(Object.keys(bundles).sort());
});

describe.each(Object.entries(bundles))('the bundle of %s', (folder, { bytesMax, fromRuntime, brings }) => {
  const metafile = build(folder);

  it('is as small as it was', () => {
    const bytes = scriptsOf(metafile).reduce((sum, output) => sum + output.bytes, 0);
    expect(bytes).toBeLessThan(bytesMax);
    expect(bytes, 'the limit is far above it: lower the limit').toBeGreaterThan(bytesMax * 0.85);
  });

  it('takes this from the runtime and all else along', () => {
    expect(askedFor(metafile)).toEqual(fromRuntime);
  });

  it('brings the libraries that it needs, and none of another function', () => {
    const libraries = librariesOf(metafile);
    const all = new Set(Object.values(bundles).flatMap((bundle) => bundle.brings));
    expect([...all].filter((library) => libraries.has(library)).sort()).toEqual([...brings].sort());
  });

  it('has no part of the AWS SDK in it, nor of CDK or of the tests', () => {
    const inputs = scriptsOf(metafile)
      .flatMap((output) => Object.keys(output.inputs))
      .join('\n');
    expect(inputs).not.toMatch(/@aws-sdk\/|@smithy\/|aws-cdk-lib|^test\/|^infra\//m);
  });
});
