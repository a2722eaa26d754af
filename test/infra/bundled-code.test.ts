/** What a read container loads at its start: its real bundle, built with the construct's own options, in memory. */
import { basename } from 'node:path';
import { buildSync } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { bundleOptions } from '../../infra/constructs/bundled-code.ts';
import * as errors from '../../shared/errors.ts';

/** 412 kB in two files, of which a Redis client alone is 274 kB; a container compiles all of it. */
const START_UP_BYTES_MAX = 418_000;

const { metafile, outputFiles } = buildSync({
  ...bundleOptions('functions/read/handler.ts', 'not-written'),
  write: false,
  metafile: true,
});

/** The entry, and the chunks that it imports before it runs. */
const startUp = reach('not-written/index.mjs', 'import-statement');

function reach(file: string, kind: string): string[] {
  const imports =
    metafile.outputs[file]?.imports.filter((each) => each.kind === kind && !each.external) ?? [];
  return [file, ...imports.flatMap(({ path }) => reach(path, kind))];
}

function sourcesOf(files: readonly string[]): string[] {
  return files.flatMap((file) => Object.keys(metafile.outputs[file]?.inputs ?? {}));
}

describe('the bundle of the reading function', () => {
  it('is small where every cold start pays for it', () => {
    const bytes = startUp.reduce((sum, file) => sum + (metafile.outputs[file]?.bytes ?? 0), 0);
    expect(bytes).toBeLessThan(START_UP_BYTES_MAX);
  });

  it('starts with what every read needs, and without what only a miss or a publication of metrics needs', () => {
    const sources = sourcesOf(startUp).join('\n');
    for (const needed of ['ioredis', 'zod']) expect(sources).toContain(`/${needed}/`);
    expect(sources).not.toMatch(/\/(pg|prom-client|@opentelemetry)\//);
  });

  it('has the driver and the metrics library beside its entry, for the first miss and the first publication', () => {
    const later = sourcesOf(reach('not-written/index.mjs', 'dynamic-import').slice(1)).join('\n');
    for (const library of ['pg', 'prom-client']) expect(later).toContain(`/${library}/`);
  });

  it('has a source map for each of its files', () => {
    const names = outputFiles.map(({ path }) => basename(path));
    const scripts = names.filter((name) => name.endsWith('.mjs'));
    expect(names).toEqual(expect.arrayContaining(scripts.map((name) => `${name}.map`)));
  });
});

describe('a bundle', () => {
  it('keeps the names of our errors, which logs show', async () => {
    const [script] = buildSync({
      ...bundleOptions('shared/errors.ts', 'not-written'),
      banner: {}, // a module without an address of its own cannot require
      sourcemap: false,
      write: false,
    }).outputFiles;
    const bundled: typeof errors = await import(
      `data:text/javascript,${encodeURIComponent(script?.text ?? '')}`
    );

    const classes = Object.entries(bundled).filter(([, { prototype }]) => prototype instanceof Error);

    expect(classes.map(([name]) => name)).toEqual(
      Object.keys(errors)
        .filter((name) => name.endsWith('Error'))
        .sort(),
    );
    for (const [name, { name: shown }] of classes) expect(shown).toBe(name);
  });
});
