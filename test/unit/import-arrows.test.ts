/** Which folder may import which: held on what the bundler resolves, so types, which leave no trace at run time, are free. */
import { readdirSync } from 'node:fs';
import { build, type Metafile } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { functionFolders } from '../support/function-folders.ts';

/** The folders of `shared/` that a folder of it may use; the files beside the folders are for all. */
const ARROWS_IN_SHARED: Readonly<Record<string, readonly string[]>> = {
  redis: [],
  postgres: [],
  cache: ['redis'],
  datasets: ['cache', 'http', 'postgres'],
  metrics: ['redis'],
  warming: ['cache', 'datasets', 'metrics', 'postgres', 'redis'],
  http: ['redis'],
  aws: ['warming'],
};
const FOR_ALL = /^shared\/(clock|errors|logger|environment|limits|routes|within)\.ts$/;
/** What `infra/` may take from `shared/`: plain data, of files that import nothing, so that CDK loads no client of a server. */
const PLAIN_DATA = /^shared\/(limits|routes)\.ts$/;

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`);
}

async function resolveImports(entryPoints: string[], bundled: boolean): Promise<Metafile> {
  const { metafile } = await build({
    entryPoints,
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    outdir: 'unused',
    logLevel: 'silent',
    ...(bundled ? { external: ['@aws-sdk/*', 'pg-native'] } : { packages: 'external' as const }),
  });
  return metafile;
}

type Arrow = { readonly from: string; readonly to: string };
let arrows: Arrow[];

beforeAll(async () => {
  const { inputs } = await resolveImports(['infra', 'functions', 'shared'].flatMap(sources), false);
  arrows = Object.entries(inputs).flatMap(([from, { imports }]) =>
    imports.map(({ path: to }) => ({ from, to })),
  );
});

const between = (from: RegExp, to: RegExp) =>
  arrows.filter((arrow) => from.test(arrow.from) && to.test(arrow.to));

describe('imports', () => {
  it('are seen by this test', () => {
    expect(between(/^functions\//, /^shared\//).length).toBeGreaterThan(10);
    expect(between(/^infra\//, /^aws-cdk-lib/).length).toBeGreaterThan(5);
  });

  it('of code that runs in functions never reach CDK', () => {
    expect(between(/^(functions|shared)\//, /^(aws-cdk-lib|constructs|cdk-nag|infra)/)).toEqual([]);
  });

  it('of shared code never reach a function', () => {
    expect(between(/^shared\//, /^functions\//)).toEqual([]);
  });

  it('of infrastructure reach functions by path only, and of shared code only plain data', () => {
    expect(between(/^infra\//, /^functions\//)).toEqual([]);
    const taken = between(/^infra\//, /^shared\//);
    expect(taken).not.toEqual([]);
    expect(taken.filter(({ to }) => !PLAIN_DATA.test(to))).toEqual([]);
    expect(between(PLAIN_DATA, /./)).toEqual([]);
  });

  it('of one function never reach another', () => {
    const crossing = between(/^functions\//, /^functions\//).filter(
      ({ from, to }) => from.split('/')[1] !== to.split('/')[1],
    );
    expect(crossing).toEqual([]);
  });

  it.each(Object.entries(ARROWS_IN_SHARED))('of shared/%s keep to %j', (folder, allowed) => {
    const elsewhere = between(new RegExp(`^shared/${folder}/`), /^shared\//).filter(({ to }) => {
      const [, target = ''] = to.split('/');
      return !FOR_ALL.test(to) && target !== folder && !allowed.includes(target);
    });
    expect(elsewhere).toEqual([]);
  });

  it('make no circle', () => {
    const graph = Map.groupBy(arrows, ({ from }) => from);
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) throw new Error(`A circle: ${[...path, file].join(' → ')}`);
      if (done.has(file)) return;
      for (const { to } of graph.get(file) ?? []) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of graph.keys()) visit(file, []);
  });
});

it('tests of shared code name no registry but their own, so that a dataset more breaks none of them', async () => {
  const tests = ['test/unit/shared', 'test/integration/shared', 'test/support'].flatMap(sources);
  const { inputs } = await resolveImports(tests, false);
  const naming = Object.entries(inputs).filter(
    ([from, { imports }]) =>
      from.startsWith('test/') && imports.some(({ path }) => path === 'shared/datasets/index.ts'),
  );
  expect(naming.map(([from]) => from)).toEqual([]);
});

describe('the bundle of every function', () => {
  it.each(functionFolders())('%s holds neither CDK nor the AWS SDK nor tests', async (folder) => {
    const { inputs } = await resolveImports([`functions/${folder}/handler.ts`], true);
    const strangers = Object.keys(inputs).filter((path) =>
      /aws-cdk-lib|\/constructs\/|@aws-sdk|^infra\/|^test\//.test(path),
    );
    expect(strangers).toEqual([]);
  });
});
